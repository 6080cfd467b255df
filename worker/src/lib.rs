//! Background jobs of Moim.
