//! The plugin host with real components: the shipped ones, and bad ones made by hand.

mod ask;
mod bad;
mod components;
mod contract;
mod evidence;
#[path = "../../../../tests/src/guests.rs"]
#[expect(unreachable_pub, reason = "it is public where it belongs to a library")]
mod guests;
mod loading;
mod shipped;
mod wasi;
