//! Devices: every kernel against the oracle, and whatever a device is spared or does at once, with the bits of what it
//! would do one by one.

mod cuda;
mod device_equivalence;
mod incremental;
mod mixed;
mod together;
