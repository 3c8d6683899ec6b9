//! The function `shadow`: each thing's named shadow shows what the devices table says of it.
//!
//! ```text
//! stream's event ─Triggers─► devices ─get─► items as they stand ─Plan─┬─► UpdateThingShadow ─► `shadow` on the item
//!      ▲                                                              └─► too early: a nudge, kept back by SQS
//!      └───── `nudged` on the item ◄─── queue's event ◄───────────────────────────┘
//! ```
//!
//! Only reported state is written; desired state is the users'. At most one update a device and interval, none where
//! nothing has changed beyond the deadband, and the last change always comes through.

pub mod event;
pub mod handler;
pub mod nudge;
pub mod plan;
pub mod state;
pub mod update;
