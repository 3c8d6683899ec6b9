//! The broker's events of one client come late, twice and in any order, and always come to the same.

use proptest::prelude::*;
use telemetry::{Micros, Presence};

const NOON: i64 = 1_795_435_200_000_000;
const MINUTE: i64 = 60_000_000;

/// A connection as it was: how long it lasted, how long the client was away after it, and how wrong the broker's
/// clocks were at its beginning and at its end; in minutes.
#[derive(Debug, Clone)]
struct Connection {
    lasted: i64,
    away: i64,
    clock_errors: (i64, i64),
    skipped_versions: i64,
}

fn connection() -> impl Strategy<Value = Connection> {
    // Away for less than the hour after which AWS counts anew; 0: the client took its own place.
    (0..1_000_i64, 0..60_i64, (-2..=2_i64, -2..=2_i64), 0..3_i64).prop_map(
        |(lasted, away, clock_errors, skipped_versions)| Connection {
            lasted,
            away,
            clock_errors,
            skipped_versions,
        },
    )
}

/// Both events of each connection, in the order in which they happened; the last is still there.
fn events(connections: &[Connection]) -> Vec<Presence> {
    let (mut minute, mut version, mut events) = (0, 0, Vec::new());
    for (number, connection) in connections.iter().enumerate() {
        version += 1 + connection.skipped_versions;
        let presence = |online: bool, minute: i64| Presence {
            online,
            since: Micros(NOON + minute * MINUTE),
            reason: (!online).then_some("CONNECTION_LOST"),
            session: format!("session-{number}").into(),
            version,
        };
        events.push(presence(true, minute + connection.clock_errors.0));
        minute += connection.lasted;
        events.push(presence(false, minute + connection.clock_errors.1));
        minute += connection.away;
    }
    events
}

/// The events of a client that has come and gone some times, and may still be there.
fn history() -> impl Strategy<Value = Vec<Presence>> {
    (prop::collection::vec(connection(), 1..6), any::<bool>()).prop_map(|(connections, is_still_there)| {
        let mut events = events(&connections);
        events.truncate(events.len() - usize::from(is_still_there));
        events
    })
}

/// A history, and how it was delivered: each event once or more, in any order.
fn delivered() -> impl Strategy<Value = (Vec<Presence>, Vec<Presence>)> {
    history().prop_flat_map(|events| {
        let again = prop::collection::vec(prop::sample::select(events.clone()), 0..20);
        let all = events.clone();
        let delivered = again.prop_map(move |again| [all.clone(), again].concat()).prop_shuffle();
        (Just(events), delivered)
    })
}

/// What stands after these batches: each comes to one event, which is compared with what stood before.
fn standing<'a>(batches: impl IntoIterator<Item = &'a [Presence]>) -> Option<Presence> {
    let newer = |stored: Presence, new: Presence| if new.supersedes(&stored) { new } else { stored };
    let of_batches = batches.into_iter().filter_map(|batch| batch.iter().cloned().reduce(newer));
    of_batches.reduce(newer)
}

proptest! {
    #[test]
    fn neither_order_nor_repetition_changes_what_stands(
        (events, delivered) in delivered(),
        batch in 1..8_usize,
    ) {
        prop_assert_eq!(standing(delivered.chunks(batch)), events.last().cloned());
    }

    #[test]
    fn of_events_that_got_lost_nothing_is_missed_but_themselves(
        (came, delivered) in delivered().prop_flat_map(|(events, _)| {
            let number = events.len();
            let came = prop::sample::subsequence(events, 1..=number);
            came.prop_flat_map(|came| (Just(came.clone()), Just(came).prop_shuffle()))
        }),
    ) {
        prop_assert_eq!(standing([&delivered[..]]), came.last().cloned());
    }

    #[test]
    fn of_two_events_at_most_one_stands_in_place_of_the_other(
        versions in (0..4_i64, 0..4_i64),
        minutes in (0..90_i64, 0..90_i64),
        online in any::<(bool, bool)>(),
        sessions in ("[ab]", "[ab]"),
    ) {
        let presence = |online: bool, minute: i64, session: String, version: i64| {
            let since = Micros(NOON + minute * MINUTE);
            Presence { online, since, reason: None, session: session.into(), version }
        };
        let one = presence(online.0, minutes.0, sessions.0, versions.0);
        let other = presence(online.1, minutes.1, sessions.1, versions.1);
        prop_assert!(!(one.supersedes(&other) && other.supersedes(&one)));
    }
}
