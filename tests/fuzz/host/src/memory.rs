//! Answers of a guest as they lie in its memory, made from bytes.

/// Where the echoing guests put what they were given.
const BASE: u32 = 1 << 20;
/// Of an answer that is a result of a record: everything but lists and texts.
const HEAD: usize = 48;
/// The longest text or list that is made; a longer one has its own limit, and raw bytes reach it.
const LONG: usize = 300;

/// Names that mean something in the scene, and some that do not.
const NAMES: &[&str] = &[
    "eu-1",
    "eu-2",
    "us-1",
    "health",
    "load",
    "",
    "EU-1",
    "é\u{1b}[31m",
    "a/b",
];

/// Takes bytes one after another; when there are none left, zeros.
struct Cursor<'a> {
    bytes: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.bytes.split_first().unwrap_or((&0, &[]));
        self.bytes = rest;
        *first
    }

    fn below(&mut self, sides: u8) -> u8 {
        self.byte().checked_rem(sides).unwrap_or_default()
    }

    /// Mostly small, sometimes anything.
    fn number(&mut self) -> u32 {
        match self.below(4) {
            0 => u32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()]),
            1 => u32::from(self.byte()) * 5,
            _ => u32::from(self.below(9)),
        }
    }

    fn text(&mut self) -> Vec<u8> {
        match self.below(4) {
            0 => {
                let length = usize::from(self.byte()).min(self.bytes.len());
                let (text, rest) = self.bytes.split_at(length);
                self.bytes = rest;
                text.to_vec()
            }
            1 => vec![self.byte(); LONG],
            _ => {
                let at = usize::from(self.byte()) % NAMES.len();
                NAMES[at].as_bytes().to_vec()
            }
        }
    }
}

/// Memory from [`BASE`] on: the head of the answer, and behind it what it points to.
struct Image {
    bytes: Vec<u8>,
}

impl Image {
    fn new() -> Self {
        Self {
            bytes: vec![0; HEAD],
        }
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn put_number(&mut self, at: usize, number: u32) {
        self.put(at, &number.to_le_bytes());
    }

    /// Room at the end, aligned for everything.
    fn room(&mut self, size: usize) -> usize {
        let at = self.bytes.len().next_multiple_of(8);
        self.bytes.resize(at + size, 0);
        at
    }

    fn point(&mut self, field: usize, at: usize, length: usize) {
        let at = u32::try_from(at).unwrap_or(u32::MAX);
        self.put_number(field, BASE.saturating_add(at));
        self.put_number(field + 4, u32::try_from(length).unwrap_or(u32::MAX));
    }

    fn put_text(&mut self, field: usize, text: &[u8]) {
        let at = self.room(text.len());
        self.put(at, text);
        self.point(field, at, text.len());
    }

    /// A list whose items have this size; gives the place of each.
    fn put_list(&mut self, field: usize, items: u8, size: usize) -> Vec<usize> {
        let at = self.room(usize::from(items) * size);
        self.point(field, at, usize::from(items));
        (0..usize::from(items))
            .map(|item| at + item * size)
            .collect()
    }
}

/// What a guest answers: the bytes as they are, an error of its own, or an answer of the right
/// shape.
fn answer(data: &[u8], record: fn(&mut Cursor<'_>, &mut Image)) -> Vec<u8> {
    let mut from = Cursor { bytes: data };
    let mut image = Image::new();
    match from.below(8) {
        0 => return from.bytes.to_vec(),
        1 => {
            image.bytes[0] = 1;
            image.put_text(4, &from.text());
            image.put_text(12, &from.text());
            image.bytes[20] = from.below(3);
            extensions(&mut from, &mut image, 24);
        }
        _ => record(&mut from, &mut image),
    }
    image.bytes
}

fn extensions(from: &mut Cursor<'_>, image: &mut Image, field: usize) {
    let items = from.below(3);
    for item in image.put_list(field, items, 16) {
        image.put_text(item, &from.text());
        image.put_text(item + 8, &from.text());
    }
}

/// `result<outcome, failure>`: decision 4, stage 16, reason 24, state 32, extensions 40.
pub(crate) fn outcome(data: &[u8]) -> Vec<u8> {
    answer(data, |from, image| {
        let case = from.below(7);
        image.bytes[4] = case;
        match case {
            0 => {
                let items = from.below(5);
                for item in image.put_list(8, items, 24) {
                    image.put_text(item, &from.text());
                    for field in [8, 12, 16, 20] {
                        let number = from.number();
                        image.put_number(item + field, number);
                    }
                }
            }
            1 => {
                let items = from.below(5);
                for item in image.put_list(8, items, 8) {
                    image.put_text(item, &from.text());
                }
            }
            2 => image.put_number(8, from.number()),
            3 | 5 => image.put_text(8, &from.text()),
            _ => {}
        }
        for field in [16, 24, 32] {
            image.put_text(field, &from.text());
        }
        extensions(from, image, 40);
    })
}

/// `result<evaluation, failure>`: verdict 4, reason 8, clusters 16, measurements 24, state 32,
/// extensions 40.
pub(crate) fn evaluation(data: &[u8]) -> Vec<u8> {
    answer(data, |from, image| {
        image.bytes[4] = from.below(4);
        image.put_text(8, &from.text());
        let clusters = from.below(4);
        for item in image.put_list(16, clusters, 12) {
            image.put_text(item, &from.text());
            image.bytes[item + 8] = from.below(4);
        }
        let measurements = from.below(4);
        // name 0, cluster 8, value 16 and 24, unit 32, limit 40, verdict 48, samples 52
        for item in image.put_list(24, measurements, 56) {
            for field in [0, 8, 32, 40] {
                image.put_text(item + field, &from.text());
            }
            image.bytes[item + 16] = from.below(3);
            let value = match from.below(5) {
                0 => f64::NAN,
                1 => f64::INFINITY,
                2 => f64::from(from.number()) / 100.0,
                3 => -0.0,
                _ => f64::from_bits(u64::from(from.number()) << 32 | u64::from(from.number())),
            };
            image.put(item + 24, &value.to_le_bytes());
            image.bytes[item + 48] = from.below(4);
            let samples = from.number();
            image.put_number(item + 52, samples);
        }
        image.put_text(32, &from.text());
        extensions(from, image, 40);
    })
}
