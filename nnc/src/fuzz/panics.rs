//! Panics of the compiler as values: a panic is a fault that is found, not the end of the program that looks for faults.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::sync::{Mutex, PoisonError};

/// A panic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panic {
    /// What it said.
    pub message: String,
    /// The file and line, where [`quiet`] has been called before.
    pub place: Option<String>,
}

/// Where each message of a panic came from. A thread that compiles hands its panic on to the one that waits for it, so the
/// place is looked up by the message.
static PLACES: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());

/// Messages are kept no longer than until so many others have come.
const KEPT: usize = 64;

/// Makes panics of this process silent, and keeps where they happen.
pub fn quiet() {
    set_hook(Box::new(|info| {
        let mut places = PLACES.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() >= KEPT {
            places.clear();
        }
        let place =
            info.location().map(|place| format!("{}:{}", place.file(), place.line())).unwrap_or_default();
        places.insert(message_of(info.payload()), place);
    }));
}

/// Runs `work`; a panic in it is an error.
///
/// # Errors
/// The panic.
pub fn catch<T>(work: impl FnOnce() -> T) -> Result<T, Panic> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let message = message_of(&*payload);
        let place = PLACES.lock().unwrap_or_else(PoisonError::into_inner).get(&message).cloned();
        Panic { message, place }
    })
}

fn message_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_message() {
        let panic = catch(|| -> i32 { panic!("seven is {}", 7) }).unwrap_err();
        assert_eq!(panic.message, "seven is 7");
        assert_eq!(catch(|| 3), Ok(3));
    }
}
