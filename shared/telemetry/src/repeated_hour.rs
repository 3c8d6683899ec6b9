//! Which of two hours is meant where clocks are set back, of times that are written without a zone.
//!
//! A message's records come in the order of their times, nearly always the oldest first. So the last of them has the
//! meaning that lies nearest to the arrival, and each before it the latest meaning that is not after the one behind it.
//! Where that cannot be, the newest may come first, and the same is tried from the other end. Where neither can be,
//! each has the meaning nearest to the arrival.

use crate::sample::{Basis, Sample, SentTime};
use crate::time::Micros;

/// The two meanings of a time, the earlier one first; twice the same where there is only one.
type Meanings = (Micros, Micros);

/// Gives each local time of `samples`, which arrived at `received`, the one meaning that it has.
pub(crate) fn resolve(samples: &mut [Sample], received: Micros) {
    let is_in_it = |sample: &Sample| matches!(sample.time, Some(SentTime { basis: Basis::Local { before, after }, .. }) if before != after);
    if !samples.iter().any(is_in_it) {
        return;
    }
    // The samples of columns stand column by column, and their times come in the order of the rows.
    let record = |sample: &Sample| (sample.record, sample.element);
    let mut in_order: Vec<&mut Sample> = samples.iter_mut().collect();
    in_order.sort_by_key(|sample| record(sample));
    // Samples of one record share their time.
    let mut times: Vec<((u32, u32), Meanings)> =
        in_order.iter().filter_map(|sample| Some((record(sample), sample.time?.meanings()?))).collect();
    times.dedup();
    let written: Vec<Meanings> = times.iter().map(|(_, meanings)| *meanings).collect();
    let chosen = choose(&written, received);
    let mut place = 0;
    for sample in in_order {
        let record = record(sample);
        let Some(time) = &mut sample.time else { continue };
        let (Some(meant), Basis::Local { before, after }) = (time.meanings(), time.basis) else { continue };
        if times.get(place) != Some(&(record, meant)) {
            place += 1;
        }
        let ahead = if chosen.get(place) == Some(&meant.1) { after } else { before };
        time.basis = Basis::Local { before: ahead, after: ahead };
    }
}

/// The meaning of each time, in the order of the records.
fn choose(times: &[Meanings], received: Micros) -> Vec<Micros> {
    let oldest_first = || {
        let mut chosen = backwards(times.iter().rev(), received)?;
        chosen.reverse();
        Some(chosen)
    };
    let newest_first = || backwards(times.iter(), received);
    let alone = || times.iter().map(|meanings| nearest(*meanings, received)).collect();
    oldest_first().or_else(newest_first).unwrap_or_else(alone)
}

/// The meanings of times that are given the newest first; `None` if they cannot be in that order.
fn backwards<'a>(times: impl Iterator<Item = &'a Meanings>, received: Micros) -> Option<Vec<Micros>> {
    let mut newer: Option<Micros> = None;
    let mut chosen = Vec::new();
    for &(earlier, later) in times {
        let at = match newer {
            None => nearest((earlier, later), received),
            Some(newer) if later <= newer => later,
            Some(newer) if earlier <= newer => earlier,
            Some(_) => return None,
        };
        newer = Some(at);
        chosen.push(at);
    }
    Some(chosen)
}

fn nearest((earlier, later): Meanings, received: Micros) -> Micros {
    let distance = |at: Micros| at.0.abs_diff(received.0);
    if distance(later) <= distance(earlier) { later } else { earlier }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000_000;

    /// `"02:30"` of the night in which 3 o'clock becomes 2 o'clock, in minutes since 1 o'clock summer time.
    fn read(clock: &str) -> Meanings {
        let (hour, minute) = clock.split_once(':').unwrap();
        let minutes = (hour.parse::<i64>().unwrap() - 1) * 60 + minute.parse::<i64>().unwrap();
        let at = |minutes: i64| Micros(minutes * MINUTE);
        match hour {
            "01" => (at(minutes), at(minutes)),
            "02" => (at(minutes), at(minutes + 60)),
            _ => (at(minutes + 60), at(minutes + 60)),
        }
    }

    #[test]
    fn the_hour_that_comes_twice_is_told_by_arrival_and_order() {
        let check = |received: i64, times: &str, expected: &[i64]| {
            let times: Vec<Meanings> = times.split(' ').map(read).collect();
            let chosen: Vec<i64> =
                choose(&times, Micros(received * MINUTE)).into_iter().map(|at| at.0 / MINUTE).collect();
            assert_eq!(chosen, expected);
        };
        check(91, "02:30", &[90]);
        check(151, "02:30", &[150]);
        // A log of an evening, sent in the morning, and the other way round.
        check(600, "01:50 02:20 02:50 02:10 02:40 03:00", &[50, 80, 110, 130, 160, 180]);
        check(600, "03:00 02:40 02:10 02:50 02:20 01:50", &[180, 160, 130, 110, 80, 50]);
        check(121, "02:40 02:50 02:58", &[100, 110, 118]);
        check(125, "02:50 02:02", &[110, 122]);
        // In no order.
        check(151, "02:30 02:10 02:50 01:30 02:20", &[150, 130, 170, 30, 140]);
    }
}
