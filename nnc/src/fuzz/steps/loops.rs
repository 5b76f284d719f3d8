//! Loops over time, with other steps in their bodies.

use ir::builder::Steps;
use ir::{Error, Value};

use crate::fuzz::build::{Known, Made, Maker, unfit};
use crate::fuzz::{Choice, Kind, Rng};

/// Loops of more steps are left out: the judge looks at each step.
const MOST_STEPS: usize = 8;
/// The most choices in a body.
const MOST_CHOICES: usize = 6;

impl Maker {
    /// A loop over the first axis of a value, with up to two carries and other steps in its body.
    pub(in crate::fuzz) fn scan(&mut self, rng: &mut Rng) -> Made {
        if self.loops > 1 {
            return Err(unfit("a loop in a loop in a loop"));
        }
        let x = self.float(rng);
        let length = match self.b.shape(x.value).first() {
            Some(&length) if length <= MOST_STEPS && !rng.one_in(6) => length,
            _ => rng.pick(&[0, 1, 2, 7]),
        };
        let stacked: Vec<Value> =
            [x.value].into_iter().filter(|&x| self.b.shape(x).first() == Some(&length)).collect();
        let carries: Vec<Known> = (0..rng.below(3)).map(|_| self.float(rng)).collect();
        let steps = if rng.one_in(2) { Steps::new(length) } else { Steps::new(length).reversed() };
        let initial: Vec<Value> = carries.iter().map(|carry| carry.value).collect();
        let around = (self.floats.clone(), self.ints.clone(), self.bools.clone());
        let inputs = self.b.open_scan(steps, &initial, &stacked)?;
        self.loops += 1;
        let built = self.body(&inputs, initial.len(), rng);
        self.loops -= 1;
        (self.floats, self.ints, self.bools) = around;
        let scanned = self.b.close_scan(built)?;
        let known = |value: &Value| Known { value: *value, bound: 1.0, exact: false };
        Ok(scanned.carries.iter().chain(&scanned.stacked).map(known).collect())
    }

    /// Steps of other kinds on the carries, the items and what is around, and what the body returns.
    fn body(
        &mut self,
        inputs: &[Value],
        carries: usize,
        rng: &mut Rng,
    ) -> Result<(Vec<Value>, Vec<Value>), Error> {
        let start = self.floats.len();
        self.floats.extend(inputs.iter().map(|&value| Known { value, bound: 3.0, exact: true }));
        for _ in 0..1 + rng.below(MOST_CHOICES) {
            self.step(&Choice { kind: Kind::draw(rng), seed: rng.bits() })?;
        }
        let made: Vec<Known> = self.floats[start..].to_vec();
        if made.is_empty() {
            return Err(unfit("a body with nothing to return"));
        }
        let mut next = Vec::new();
        for &carry in &inputs[..carries] {
            next.push(self.next_carry(carry, &made, rng)?);
        }
        let mut stacked: Vec<Value> = Vec::new();
        for _ in 0..usize::from(carries == 0) + rng.below(3) {
            let value = rng.pick(&made).value;
            stacked.push(self.b.tanh(value)?);
        }
        Ok((next, stacked))
    }

    /// A value of the type of a carry: one that there is, or the carry with the sum of another.
    fn next_carry(&mut self, carry: Value, made: &[Known], rng: &mut Rng) -> Result<Value, Error> {
        let ty = self.b.ty(carry).clone();
        let alike: Vec<Value> =
            made.iter().map(|known| known.value).filter(|&value| *self.b.ty(value) == ty).collect();
        match rng.below(6) {
            0 => return Ok(carry),
            1 | 2 if !alike.is_empty() => return self.b.tanh(rng.pick(&alike)),
            _ => {}
        }
        let other = made.last().expect("a body has inputs, or steps have made something").value;
        if self.b.dtype(other) != ty.dtype {
            return Ok(carry);
        }
        let axes: Vec<usize> = (0..self.b.shape(other).rank()).collect();
        let other = if *self.b.ty(other) == ty { other } else { self.b.reduce_sum(other, &axes, false)? };
        let sum = self.b.add(carry, other)?;
        if rng.one_in(2) { self.b.tanh(sum) } else { Ok(sum) }
    }
}
