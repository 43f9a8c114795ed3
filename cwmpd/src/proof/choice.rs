//! What chance does in a run: a tape that proptest shortens, or a seed; the end of a tape is calm.

/// Where the choices come from.
#[derive(Debug)]
pub enum Choices {
    /// Taken one by one; 0, and all that follow the last, mean that nothing goes wrong.
    Tape(std::vec::IntoIter<u16>),
    /// splitmix64.
    Seed(u64),
    /// Nothing goes wrong.
    Calm,
}

impl Choices {
    fn next(&mut self) -> u16 {
        match self {
            Self::Tape(tape) => tape.next().unwrap_or(0),
            Self::Seed(state) => {
                *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut z = *state;
                z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                ((z ^ (z >> 31)) >> 48) as u16
            }
            Self::Calm => 0,
        }
    }

    /// True so often in a thousand.
    pub fn chance(&mut self, per_mille: u16) -> bool {
        self.next() % 1000 >= 1000 - per_mille
    }

    /// One of `n`, the first one when calm.
    pub fn pick(&mut self, n: u16) -> u16 {
        self.next() % n
    }

    /// Over all of u32.
    pub fn random(&mut self) -> u32 {
        u32::from(self.next()) << 16 | u32::from(self.next())
    }
}
