//! Alert rules and their state machine.
