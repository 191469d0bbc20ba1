//! The commands, a module for each group.

pub(crate) mod down;
pub(crate) mod init;
pub(crate) mod look;
pub(crate) mod man;
pub(crate) mod parting;
pub(crate) mod plan;
pub(crate) mod plugin;
pub(crate) mod plugin_bench;
pub(crate) mod plugin_call;
pub(crate) mod plugin_import;
pub(crate) mod plugin_look;
pub(crate) mod plugin_test;
pub(crate) mod quickstart;
pub(crate) mod replay;
pub(crate) mod run;
pub(crate) mod score;
pub(crate) mod simulate;
pub(crate) mod steer;
pub(crate) mod undo;
pub(crate) mod verify;
