//! Vocabulary and seams of Moim.
