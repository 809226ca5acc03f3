//! VHD, as the "Virtual Hard Disk Image Format Specification" 1.0 describes it.
