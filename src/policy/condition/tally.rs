//! Logic over values that may not be there, as CEL has it.

use super::{
    eval::Outcome,
    fault::{Fault, Trouble},
};

/// The outcomes of the parts of `&&` and `all`, or of `||` and `exists`.
pub(super) struct Tally<'c, 'd> {
    absorbing: bool,
    thorough: bool,
    decided: bool,
    trouble: Option<Box<Trouble<'c, 'd>>>,
}

impl<'c, 'd> Tally<'c, 'd> {
    pub(super) const fn new(absorbing: bool, thorough: bool) -> Self {
        Self { absorbing, thorough, decided: false, trouble: None }
    }

    /// Adds one; says whether the others need not be asked.
    pub(super) fn add(&mut self, outcome: Outcome<'c, 'd, bool>) -> Outcome<'c, 'd, bool> {
        match outcome {
            Ok(value) => self.decided |= value == self.absorbing,
            Err(Fault::Spent(spent)) => return Err(Fault::Spent(spent)),
            Err(Fault::Trouble(trouble)) if self.thorough && trouble.is_type() => return Err(Fault::Trouble(trouble)),
            Err(Fault::Trouble(trouble)) => _ = self.trouble.get_or_insert(trouble),
        }
        Ok(self.decided && !self.thorough)
    }

    pub(super) fn result(self) -> Outcome<'c, 'd, bool> {
        match self.trouble {
            Some(trouble) if !self.decided => Err(Fault::Trouble(trouble)),
            _ => Ok(self.decided == self.absorbing),
        }
    }
}
