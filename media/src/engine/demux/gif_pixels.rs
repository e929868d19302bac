//! Number of pixels in the compressed data of a GIF image (`GIF89a`, appendix F).
//!
//! After missing bytes, the sizes of data blocks often lead back to the start of a block by chance. The compressed data
//! is then that of two images, and does not have the pixels of one.

/// Maximum number of bits of a code.
const MAX_CODE_BITS: u32 = 12;

/// Maximum number of codes.
const MAX_CODES: usize = 1 << MAX_CODE_BITS;

/// Counts pixels while the data is read in pieces.
pub(crate) struct PixelCounter {
    /// Number of pixels of each code.
    lengths: Vec<u64>,
    clear: usize,
    code_bits: u32,
    /// Bits that were read and not used yet, and their number.
    bits: u32,
    bit_count: u32,
    latest: Option<usize>,
    pixels: u64,
    has_ended: bool,
    is_valid: bool,
}

impl PixelCounter {
    /// Starts to count; `min_code_bits` is the byte before the data.
    pub(crate) fn new(min_code_bits: u8) -> Self {
        let is_valid = (1..=8).contains(&min_code_bits);
        let clear = 1 << min_code_bits.clamp(1, 8);
        let mut counter = Self {
            lengths: Vec::with_capacity(MAX_CODES),
            clear,
            code_bits: 0,
            bits: 0,
            bit_count: 0,
            latest: None,
            pixels: 0,
            has_ended: false,
            is_valid,
        };
        counter.clear_codes();
        counter
    }

    /// Removes all codes of several pixels. The codes for clearing and for the end have none.
    fn clear_codes(&mut self) {
        self.lengths.clear();
        self.lengths.resize(self.clear, 1);
        self.lengths.resize(self.clear + 2, 0);
        self.code_bits = self.clear.trailing_zeros() + 1;
        self.latest = None;
    }

    /// Reads more of the data.
    pub(crate) fn read(&mut self, data: &[u8]) {
        for byte in data {
            if self.has_ended || !self.is_valid {
                return;
            }
            self.bits |= u32::from(*byte) << self.bit_count;
            self.bit_count += 8;
            while self.bit_count >= self.code_bits && !self.has_ended {
                let code = self.bits & ((1 << self.code_bits) - 1);
                self.bits >>= self.code_bits;
                self.bit_count -= self.code_bits;
                self.read_code(code as usize);
            }
        }
    }

    fn read_code(&mut self, code: usize) {
        if code == self.clear {
            self.clear_codes();
            return;
        }
        if code == self.clear + 1 {
            self.has_ended = true;
            return;
        }
        let previous = self.latest.and_then(|latest| self.lengths.get(latest)).copied();
        // A new code has the pixels of the previous one and one more. It may be used at once.
        if let Some(previous) = previous
            && self.lengths.len() < MAX_CODES
        {
            self.lengths.push(previous + 1);
            if self.lengths.len() == 1 << self.code_bits && self.code_bits < MAX_CODE_BITS {
                self.code_bits += 1;
            }
        }
        match self.lengths.get(code) {
            Some(length) => self.pixels = self.pixels.saturating_add(*length),
            None => self.is_valid = false,
        }
        self.latest = Some(code);
    }

    /// Returns `true` if the data has exactly this number of pixels.
    pub(crate) const fn is_complete(&self, pixels: u64) -> bool {
        self.is_valid && self.pixels == pixels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_of_an_image_are_counted() {
        // 10 x 10 pixels of four colors (a widely used example of GIF).
        let data = [
            0x8c, 0x2d, 0x99, 0x87, 0x2a, 0x1c, 0xdc, 0x33, 0xa0, 0x02, 0x75, 0xec, 0x95, 0xfa, 0xa8, 0xde, 0x60, 0x8c,
            0x04, 0x91, 0x4c, 0x01,
        ];
        let mut counter = PixelCounter::new(2);
        data.chunks(5).for_each(|piece| counter.read(piece));
        assert!(counter.is_complete(100) && counter.has_ended, "{}", counter.pixels);
        let mut counter = PixelCounter::new(2);
        counter.read(&data[..8]);
        counter.read(&data[12..]);
        assert!(!counter.is_complete(100));
    }
}
