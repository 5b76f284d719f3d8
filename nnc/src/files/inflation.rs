//! How many bytes a compressed file may become: what inflates without end is an error before it fills the memory.

/// No file may inflate to more bytes than this.
pub const MAX_BYTES: usize = 1 << 30;
/// Beyond this many bytes, what is inflated may be this many times what it is inflated from. Tables and images are 2 to 20
/// times as large; what has been made to fill memory is 1,000.
pub const FREE_BYTES: usize = 32 << 20;
const MAX_GROWTH: usize = 100;

/// Why so many bytes may not be inflated from so few; `None` where they may.
pub fn excess(inflated: usize, from: usize) -> Option<&'static str> {
    if inflated > MAX_BYTES {
        return Some("it holds more than 1 GiB");
    }
    let is_bomb = inflated > FREE_BYTES && inflated / MAX_GROWTH > from;
    is_bomb.then_some(
        "it holds more than 32 MiB and 100 times its size, as files do that are made to fill memory",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_may_be_as_large_as_they_are_worth() {
        assert_eq!(excess(FREE_BYTES, 1), None);
        assert!(excess(FREE_BYTES + MAX_GROWTH, FREE_BYTES / MAX_GROWTH).is_some());
        assert_eq!(excess(FREE_BYTES + 1, FREE_BYTES / MAX_GROWTH + 1), None);
        assert_eq!(excess(MAX_BYTES, MAX_BYTES / 20), None);
        assert_eq!(excess(MAX_BYTES + 1, MAX_BYTES), Some("it holds more than 1 GiB"));
    }
}
