//! Whether a JPEG is whole: decoders fill up what is missing with grey, and say nothing of it.
//!
//! The layout is that of ITU-T T.81, annex B: segments, each a marker and a length, and after the header of a scan its
//! coded data, in which `FF` is followed by 0 or by the number of a restart.

const START_OF_SCAN: u8 = 0xda;
const END: u8 = 0xd9;

/// Whether the end of the image is there.
pub fn is_whole(bytes: &[u8]) -> bool {
    let mut at = 2; // after the marker of the start
    loop {
        // Any number of FF may stand before a marker.
        let Some(marker) = bytes.get(at..).and_then(|rest| rest.iter().position(|&byte| byte != 0xff)) else {
            return false;
        };
        let kind = bytes[at + marker];
        at += marker + 1;
        match kind {
            END => return true,
            0x01 | 0xd0..=0xd8 => continue,
            _ => {}
        }
        let Some(&[high, low]) = bytes.get(at..).and_then(|rest| rest.first_chunk()) else { return false };
        at += usize::from(u16::from_be_bytes([high, low])).max(2);
        if kind == START_OF_SCAN {
            let data = bytes.get(at..).unwrap_or_default();
            let is_marker = |pair: &[u8]| pair[0] == 0xff && !matches!(pair[1], 0 | 0xd0..=0xd7 | 0xff);
            let Some(length) = data.windows(2).position(is_marker) else { return false };
            at += length;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jpeg_without_its_end_is_not_whole() {
        // A thumbnail with an end of its own, a scan with escaped bytes and a restart, fill bytes.
        let thumbnail = [0xff, 0xe1, 0, 6, 0xff, 0xd9, 7, 7];
        let scan = [0xff, 0xda, 0, 3, 1, 5, 0xff, 0, 6, 0xff, 0xd0, 7];
        let whole = [&[0xff, 0xd8][..], &thumbnail, &scan, &scan, &[0xff, 0xff, 0xd9]].concat();
        assert!(is_whole(&whole));
        assert!(is_whole(&[&whole[..], b"what follows"].concat()));
        for length in 0..whole.len() {
            assert!(!is_whole(&whole[..length]), "{length}");
        }
    }
}
