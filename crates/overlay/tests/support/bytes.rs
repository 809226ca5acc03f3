//! Choices taken from bytes.

pub struct Choices<'b>(pub &'b [u8]);

impl Choices<'_> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A number below `bound`; 0 when the bytes are at their end.
    pub fn below(&mut self, bound: u8) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        first % bound
    }
}
