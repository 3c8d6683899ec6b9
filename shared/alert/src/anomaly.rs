//! What is usual for one metric of one device, learnt from its readings one by one, and how far a value is from it.
//!
//! The state is a **level** and a **spread**, both robust:
//!
//! ```text
//! u = (value − centre) / spread            the score is |u|; centre is the level, plus the time of day's where there is a season
//! level  += spread · clip(u, ±2.5) / m     where |u| ≤ 3: what is further away moves nothing
//! spread *= 1 + (min(|u|, 2.5) / c − 1) / 3m
//! ```
//!
//! `m` is the memory in readings (at first the number of readings so far) and `c` the mean of min(|u|, 2.5) of normal noise,
//! for which the spread thereby is the standard deviation and the score reads as a z-score. The first 11 readings are
//! kept, and their median and MAD (median of the absolute deviations, times 1.4826) are where it begins. Where readings
//! stay more than 3 spreads away until there are `m` more of them than of the others, that is how things are now: it
//! begins again at the median and MAD of the last 11.
//!
//! An instrument that shows 20.1 or 20.2 and nothing between has a MAD of 0 most of the time. So the spread is taken to be
//! half of the smallest change that has been seen lately, where there are changes all the time, and at least 1e-7 of the
//! magnitude, which is the last digit of a 32-bit float.
//!
//! Why not something else: `cargo bench -p alert --bench anomaly` prints a table of this estimator, the exact median and MAD of
//! a ring of 2m values, the stochastic-gradient median and MAD, and a plain z-score, on one synthetic metric after another.

use serde::{Deserialize, Serialize};
use telemetry::Micros;

/// Readings that the first estimate, and one after a step, is made of.
const SEEDS: usize = 11;
/// The least memory that is worked with.
const LEAST_MEMORY: u32 = 3;
/// The longest memory and warm-up that a rule may ask for: a day of readings that come every 100 ms.
const MOST_READINGS: u32 = 864_000;

/// Standard deviations of normal noise in one MAD: 1 / Φ⁻¹(3/4).
const DEVIATIONS_PER_MAD: f64 = 1.4826;
/// Distance in spreads from which on a reading does not move the level, and counts as one of a step.
const FENCE: f64 = 3.0;
/// Distance in spreads beyond which a reading pulls no more than at it (Huber, "Robust Estimation of a Location Parameter", 1964).
const REACH: f64 = 2.5;
/// The mean of min(|Z|, REACH) for a standard normal Z: √(2/π)·(1 − exp(−REACH²/2)) + 2·REACH·(1 − Φ(REACH)).
const USUAL_PULL: f64 = 0.793_876;
/// How much slower than the level the spread is: were it quicker, a step would widen it so far that it stops being one.
const SPREAD_MEMORIES: f64 = 3.0;

/// The least spread, as a share of the magnitude: the last digit of a 32-bit float.
const RELATIVE_FLOOR: f64 = 1e-7;
/// The least spread, as a share of the smallest change.
const RESOLUTION_FLOOR: f64 = 0.5;
/// How much the smallest change that is remembered grows with each change, so that a small one is forgotten.
const RESOLUTION_GROWTH: f64 = 1.0 + 1.0 / 64.0;
/// What one change adds to the restlessness, of which each reading takes one off.
const CHANGE: u32 = 16;
/// Restlessness from which on the smallest change counts: three changes in a row. A single bad value makes two.
const RESTLESS: u32 = 3 * CHANGE;
const MOST_RESTLESS: u32 = 2 * RESTLESS;

/// Greatest magnitude that is worked with, so that no difference overflows.
const LARGEST: f64 = 1e300;
const SMALLEST: f64 = 1e-300;
/// The highest score.
const MOST_SPREADS: f64 = 1e6;

const HOURS: usize = 24;
const HOUR: i64 = 3_600_000_000;
/// Hours that were learnt when the season begins to count.
const FIRST_DAY: u32 = 24;
/// [`REACH`] on the first day, when the level lags behind what the season is to learn.
const FIRST_REACH: f64 = 6.0;
/// The least weight of what was measured at a full hour, that of one reading half an hour away.
const LEAST_WEIGHT: f64 = 0.5;
/// Hours after which the counting ends: from the seventh day on, a day counts for a seventh.
const SIX_DAYS: u32 = 6 * 24;

/// What an estimator is set to; `{}` in a rule is the default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How many readings it takes until a step is how things are. Until then they score high.
    pub memory: u32,
    /// How many readings it takes until there is a score, 11 or more.
    pub warm_up: u32,
    /// The least spread, in the metric's unit: differences of less than this are of no interest.
    pub floor: f64,
    /// What repeats itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub season: Option<Season>,
}

/// What repeats itself in a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Season {
    /// The day: values are compared with those of the same time of day (UTC), in steps of an hour with straight lines between
    /// them. It counts once 24 hours
    /// with readings have been learnt; then the estimator warms up a second time. It is that of the last week.
    Daily,
}

/// A memory of 240 readings: 40 minutes at one each 10 seconds, a day at one each 6 minutes.
impl Default for Settings {
    fn default() -> Self {
        Self { memory: 240, warm_up: 30, floor: 0.0, season: None }
    }
}

impl Settings {
    /// Whether they make sense.
    ///
    /// # Errors
    /// What does not, for the one who writes the rule.
    pub fn check(&self) -> Result<(), String> {
        if !(LEAST_MEMORY..=MOST_READINGS).contains(&self.memory) {
            return Err(format!("memory has to be from {LEAST_MEMORY} to {MOST_READINGS} readings"));
        }
        if self.warm_up > MOST_READINGS {
            return Err(format!("warm_up has to be {MOST_READINGS} readings at most"));
        }
        if !(0.0..=LARGEST).contains(&self.floor) {
            return Err("floor has to be a number, zero or more".to_owned());
        }
        Ok(())
    }
}

/// What is usual for one metric of one device.
///
/// Depends on nothing but the readings and their order, and uses only arithmetic that is the same on all machines. Stored as
/// JSON, with doubles as text, it is the same again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Estimator {
    /// Readings that were learnt; after a step it begins anew.
    count: u32,
    /// The middle of what is usual, less the time of day's part.
    #[serde(with = "text")]
    level: f64,
    #[serde(with = "text")]
    spread: f64,
    /// The last reading.
    #[serde(with = "text")]
    last: f64,
    /// The smallest change lately; 0 before there is one.
    #[serde(with = "text")]
    resolution: f64,
    restless: u32,
    /// By how many the readings beyond the fence outnumber the others, since they began to.
    outside: u32,
    /// The last readings less the time of day's part: at the start, and while some are outside.
    #[serde(with = "texts", default, skip_serializing_if = "Vec::is_empty")]
    recent: Vec<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    day: Option<Box<Day>>,
}

impl Estimator {
    /// One that knows nothing.
    pub fn new(_settings: &Settings) -> Self {
        Self {
            count: 0,
            level: 0.0,
            spread: 0.0,
            last: 0.0,
            resolution: 0.0,
            restless: 0,
            outside: 0,
            recent: Vec::new(),
            day: None,
        }
    }

    /// How many spreads a value that is not learnt yet is away from what is usual; never negative, at most a million.
    /// `None` while warming up, and for what is no number.
    pub fn score(&self, settings: &Settings, at: Micros, value: f64) -> Option<f64> {
        if self.count < warm_up(settings) || !value.is_finite() {
            return None;
        }
        let centre = self.level + self.of_day(at);
        let distance = (bounded(value) - centre).abs() / self.unit(settings, centre);
        Some(distance.min(MOST_SPREADS))
    }

    /// Learns a value. What is no number is passed over.
    pub fn learn(&mut self, settings: &Settings, at: Micros, value: f64) {
        if !value.is_finite() {
            return;
        }
        let value = bounded(value);
        self.notice_change(value);
        self.turn_hour(settings, at);
        let of_day = self.of_day(at);
        let value_of_level = bounded(value - of_day);
        if self.recent.len() < SEEDS && self.count < SEEDS as u32 {
            self.recent.push(value_of_level);
            self.count += 1;
            if self.count == SEEDS as u32 {
                self.seat();
            }
            return;
        }
        self.count = self.count.saturating_add(1);
        let centre = self.level + of_day;
        let unit = self.unit(settings, centre);
        if let Some(day) = &mut self.day {
            let reach = day.reach() * unit;
            day.add(at, bounded(value.max(centre - reach).min(centre + reach)));
        }
        if !self.accept_step(settings, value_of_level, unit) {
            self.follow(settings, value_of_level, unit);
        }
    }

    /// The spread, and no less than what a difference has to be to mean anything.
    fn unit(&self, settings: &Settings, centre: f64) -> f64 {
        let of_resolution = if self.restless >= RESTLESS { RESOLUTION_FLOOR * self.resolution } else { 0.0 };
        let floor = settings.floor.min(LARGEST).max(RELATIVE_FLOOR * centre.abs()).max(SMALLEST);
        self.spread.max(of_resolution).max(floor)
    }

    fn notice_change(&mut self, value: f64) {
        let change = (value - self.last).abs();
        self.restless = self.restless.saturating_sub(1);
        if self.count > 0 && change > 0.0 {
            let known = self.resolution > 0.0;
            self.resolution = if known { change.min(self.resolution * RESOLUTION_GROWTH) } else { change };
            self.restless = self.restless.saturating_add(CHANGE).min(MOST_RESTLESS);
        }
        self.last = value;
    }

    /// Moves level and spread towards a value.
    fn follow(&mut self, settings: &Settings, value: f64, unit: f64) {
        let memory = memory(settings);
        let count = f64::from(self.count);
        let pull = (value - self.level) / unit;
        let distance = pull.abs();
        if distance <= FENCE {
            self.level = bounded(self.level + unit * pull.clamp(-REACH, REACH) / count.min(memory));
        }
        let growth = distance.min(REACH) / USUAL_PULL - 1.0;
        // Half-way to a step the spread does not widen any more, or the step would end up within it.
        let is_step = 2.0 * f64::from(self.outside) >= memory;
        let growth = if is_step { growth.min(0.0) } else { growth };
        let spread_memory = (SPREAD_MEMORIES / 2.0 * count).min(SPREAD_MEMORIES * memory);
        self.spread = bounded(unit * (1.0 + growth / spread_memory));
    }

    /// Begins again at the last readings, where those outside the fence have outnumbered the others for long enough.
    fn accept_step(&mut self, settings: &Settings, value: f64, unit: f64) -> bool {
        if (value - self.level).abs() / unit > FENCE {
            self.outside = self.outside.saturating_add(1);
        } else {
            self.outside = self.outside.saturating_sub(1);
        }
        if self.outside == 0 {
            self.recent.clear();
            return false;
        }
        while self.recent.len() >= SEEDS {
            self.recent.remove(0);
        }
        self.recent.push(value);
        if f64::from(self.outside) < memory(settings) {
            return false;
        }
        let before = self.level;
        self.seat();
        self.count = warm_up(settings);
        if let Some(day) = &mut self.day
            && day.step(self.level - before)
        {
            self.level = before;
        }
        true
    }

    /// Takes median and MAD of the last readings for level and spread.
    fn seat(&mut self) {
        let mut values = std::mem::take(&mut self.recent);
        self.outside = 0;
        self.level = middle(&mut values);
        for value in &mut values {
            *value = (*value - self.level).abs();
        }
        self.spread = bounded(DEVIATIONS_PER_MAD * middle(&mut values));
    }

    /// The part of the centre that comes from the time of day.
    fn of_day(&self, at: Micros) -> f64 {
        self.day.as_ref().map_or(0.0, |day| day.level(at))
    }

    /// Lets the season go on to the next hour. Where it begins or ends to count, what is left of a value is another thing than
    /// before, and is learnt anew.
    fn turn_hour(&mut self, settings: &Settings, at: Micros) {
        let is_other = match (settings.season, &mut self.day) {
            (None, None) => false,
            (None, Some(day)) => {
                let counted = day.counts();
                self.day = None;
                counted
            }
            (Some(Season::Daily), None) => {
                self.day = Some(Box::new(Day::new(at)));
                false
            }
            (Some(Season::Daily), Some(day)) => day.turn(at),
        };
        if is_other {
            (self.count, self.outside) = (0, 0);
            self.recent.clear();
        }
    }
}

/// The daily season: how each hour of the day usually is, and straight lines between them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Day {
    /// The level at each full hour (UTC).
    #[serde(with = "texts")]
    levels: [f64; HOURS],
    /// The hours whose level is known, a bit for each.
    known: u32,
    /// Hours that were learnt, as far as it matters.
    learnt: u32,
    /// The last full hour, since 1970.
    hour: i64,
    /// What is measured at the last full hour, and at the next.
    last: Mean,
    next: Mean,
}

/// A mean of values, each with its weight.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mean {
    #[serde(with = "text")]
    mean: f64,
    #[serde(with = "text")]
    weight: f64,
}

impl Mean {
    fn add(&mut self, value: f64, weight: f64) {
        if weight > 0.0 {
            self.weight = bounded(self.weight.max(0.0) + weight);
            self.mean = bounded(self.mean + (value - self.mean) * (weight / self.weight));
        }
    }
}

impl Day {
    fn new(at: Micros) -> Self {
        let hour = at.0.div_euclid(HOUR);
        let (last, next) = Default::default();
        Self { levels: [0.0; HOURS], known: 0, learnt: 0, hour, last, next }
    }

    fn counts(&self) -> bool {
        self.learnt >= FIRST_DAY
    }

    /// How many spreads from the centre a value is taken for what it is.
    fn reach(&self) -> f64 {
        if self.counts() { REACH } else { FIRST_REACH }
    }

    /// The level at a time; 0 before the season counts.
    fn level(&self, at: Micros) -> f64 {
        if !self.counts() {
            return 0.0;
        }
        let (hour, part) = (place(at.0.div_euclid(HOUR)), part_of_hour(at));
        let (last, next) = (self.levels[hour], self.levels[(hour + 1) % HOURS]);
        last + (next - last) * part
    }

    /// Takes a reading for the full hours before and after it, the nearer the more. One of an earlier hour comes too late.
    fn add(&mut self, at: Micros, value: f64) {
        if at.0.div_euclid(HOUR) == self.hour {
            let part = part_of_hour(at);
            self.last.add(value, 1.0 - part);
            self.next.add(value, part);
        }
    }

    /// Goes on to the hour of `at`; returns whether the season counts from now on, and did not before. A time that lies up to a
    /// day back is that of a late reading; one that lies further back shows that the clock had been ahead.
    fn turn(&mut self, at: Micros) -> bool {
        let hour = at.0.div_euclid(HOUR);
        if (0..=HOURS as i64).contains(&self.hour.saturating_sub(hour)) {
            return false;
        }
        let counted = self.counts();
        let (last, next) = (std::mem::take(&mut self.last), std::mem::take(&mut self.next));
        self.learn(self.hour, &last);
        if self.hour.checked_add(1) == Some(hour) {
            self.last = next;
        } else {
            self.learn(self.hour.saturating_add(1), &next);
        }
        self.hour = hour;
        if counted || !self.counts() {
            return false;
        }
        self.fill();
        true
    }

    /// Learns what was measured at a full hour.
    fn learn(&mut self, hour: i64, measured: &Mean) {
        // Readings that lie nearer to the full hours before and after say enough of those, and too little of this.
        if measured.weight < LEAST_WEIGHT {
            return;
        }
        let hour = place(hour);
        let days = if self.known & (1 << hour) == 0 { 0 } else { self.learnt.min(SIX_DAYS) / FIRST_DAY };
        let level = self.levels[hour] + (measured.mean - self.levels[hour]) / f64::from(1 + days);
        self.levels[hour] = bounded(level);
        self.known |= 1 << hour;
        self.learnt = self.learnt.saturating_add(1).min(SIX_DAYS);
    }

    /// Takes part in a step: all hours move by as much, so that the shape of the day stays what it is. Returns whether they
    /// are part of the centre.
    fn step(&mut self, by: f64) -> bool {
        for (hour, level) in self.levels.iter_mut().enumerate() {
            if self.known & (1 << hour) != 0 {
                *level = bounded(*level + by);
            }
        }
        (self.last, self.next) = Default::default();
        self.counts()
    }

    /// Draws straight lines over the hours that have had no readings.
    fn fill(&mut self) {
        let known = self.known;
        let is_known = |hour: &usize| known & (1 << (hour % HOURS)) != 0;
        for hour in (0..HOURS).filter(|hour| !is_known(hour)) {
            let before = (1..HOURS).find(|back| is_known(&(hour + HOURS - back)));
            let after = (1..HOURS).find(|ahead| is_known(&(hour + ahead)));
            if let (Some(before), Some(after)) = (before, after) {
                let from = self.levels[(hour + HOURS - before) % HOURS];
                let to = self.levels[(hour + after) % HOURS];
                self.levels[hour] = from + (to - from) * before as f64 / (before + after) as f64;
            }
        }
        self.known = (1 << HOURS) - 1;
    }
}

/// The place of an hour in the day.
fn place(hour: i64) -> usize {
    hour.rem_euclid(HOURS as i64) as usize
}

/// How much of the hour has passed, from 0 to 1.
fn part_of_hour(at: Micros) -> f64 {
    at.0.rem_euclid(HOUR) as f64 / HOUR as f64
}

fn memory(settings: &Settings) -> f64 {
    f64::from(settings.memory.max(LEAST_MEMORY))
}

fn warm_up(settings: &Settings) -> u32 {
    settings.warm_up.max(SEEDS as u32)
}

fn bounded(value: f64) -> f64 {
    value.clamp(-LARGEST, LARGEST)
}

/// The median; the greater of two. Sorts the values.
fn middle(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// A double as text: through a parser of JSON numbers it may lose its last digit.
mod text {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{number:e}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        let text = String::deserialize(deserializer)?;
        read(&text).ok_or_else(|| D::Error::custom("not a number that an estimator stores"))
    }

    pub(super) fn read(text: &str) -> Option<f64> {
        text.parse().ok().filter(|number: &f64| number.abs() <= super::LARGEST)
    }
}

/// Doubles as one text, with spaces between them.
mod texts {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        numbers: &impl AsRef<[f64]>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let texts: Vec<String> = numbers.as_ref().iter().map(|number| format!("{number:e}")).collect();
        serializer.serialize_str(&texts.join(" "))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>, T: TryFrom<Vec<f64>>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        let text = String::deserialize(deserializer)?;
        let numbers: Option<Vec<f64>> = text.split_whitespace().map(super::text::read).collect();
        let numbers = numbers.filter(|numbers| numbers.len() <= super::HOURS);
        let right = numbers.and_then(|numbers| T::try_from(numbers).ok());
        right.ok_or_else(|| D::Error::custom("not the numbers that an estimator stores"))
    }
}
