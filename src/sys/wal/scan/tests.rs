use super::*;

/// A log as the server writes it: records one behind the other over pages with headers.
struct Writer {
    bytes: Vec<u8>,
    from: u64,
    previous: u64,
}

const SIZE: u64 = 1 << 20;

impl Writer {
    fn new(from: u64) -> Writer {
        Writer { bytes: Vec::new(), from, previous: 0x28 }
    }

    fn header(&mut self, rest: u32) {
        let at = self.from + self.bytes.len() as u64;
        let long = at.is_multiple_of(SIZE);
        let info = u16::from(rest > 0) | if long { LONG } else { 0 };
        self.bytes.extend_from_slice(&0xD110u16.to_le_bytes());
        self.bytes.extend_from_slice(&info.to_le_bytes());
        self.bytes.extend_from_slice(&1u32.to_le_bytes());
        self.bytes.extend_from_slice(&at.to_le_bytes());
        self.bytes.extend_from_slice(&rest.to_le_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        if long {
            self.bytes.extend_from_slice(&77u64.to_le_bytes());
            self.bytes.extend_from_slice(&(SIZE as u32).to_le_bytes());
            self.bytes.extend_from_slice(&(PAGE as u32).to_le_bytes());
        }
    }

    fn put(&mut self, rmgr: u8, info: u8, main: &[u8]) -> u64 {
        if self.bytes.len().is_multiple_of(PAGE) {
            self.header(0);
        }
        let at = self.from + self.bytes.len() as u64;
        let mut record = Vec::new();
        let head: &[u8] = &[254];
        let length = (RECORD + 5 + main.len()) as u32;
        record.extend_from_slice(&length.to_le_bytes());
        record.extend_from_slice(&9u32.to_le_bytes());
        record.extend_from_slice(&self.previous.to_le_bytes());
        record.extend_from_slice(&[info, rmgr, 0, 0, 0, 0, 0, 0]);
        record.extend_from_slice(head);
        record.extend_from_slice(&(main.len() as u32).to_le_bytes());
        record.extend_from_slice(main);
        let mut rest = record.as_slice();
        while !rest.is_empty() {
            if self.bytes.len().is_multiple_of(PAGE) {
                self.header(rest.len() as u32);
            }
            let room = PAGE - self.bytes.len() % PAGE;
            let (now, later) = rest.split_at(rest.len().min(room));
            self.bytes.extend_from_slice(now);
            rest = later;
        }
        while !self.bytes.len().is_multiple_of(8) {
            self.bytes.push(0);
        }
        self.previous = at;
        at
    }

    fn commit(&mut self, time: i64) -> u64 {
        let mut data = (time - EPOCH).to_le_bytes().to_vec();
        data.extend_from_slice(&[0; 4]);
        self.put(1, 0x80, &data)
    }

    fn read(&self, bytes: &[u8]) -> Seen {
        let mut scanner = Scanner::new(Lsn(self.from), SIZE);
        for segment in bytes.chunks(SIZE as usize) {
            scanner.segment(&mut &segment[..]).unwrap();
        }
        scanner.seen()
    }
}

#[test]
fn times_points_and_the_last_whole_record() {
    let mut log = Writer::new(3 * SIZE);
    let first = log.commit(1_700_000_000_000_000);
    // Over pages and over the end of a segment.
    log.put(10, 0, &vec![1; 30_000]);
    log.put(10, 0, &vec![2; 2 * SIZE as usize]);
    let mut point = (1_700_000_001_000_000i64 - EPOCH).to_le_bytes().to_vec();
    point.extend_from_slice(b"before the deploy");
    point.resize(72, 0);
    log.put(0, 0x70, &point);
    log.put(0, 0x50, &(3 * SIZE + 40).to_le_bytes());
    let end = log.from + log.bytes.len() as u64;
    let last = log.commit(1_700_000_002_000_000);
    let whole = log.bytes.len();
    log.put(10, 0, &[3; 500]);
    let mut bytes = log.bytes.clone();
    bytes.resize(bytes.len().next_multiple_of(PAGE), 0);

    let seen = log.read(&bytes);
    assert_eq!(seen.first, Some(Ended { at: Lsn(first), time: 1_700_000_000_000_000, commit: true }));
    assert_eq!(seen.last, Some(Ended { at: Lsn(last), time: 1_700_000_002_000_000, commit: true }));
    assert_eq!(seen.points.len(), 1);
    assert_eq!(seen.points[0].name, "before the deploy");
    assert_eq!(seen.backups, [(Lsn(3 * SIZE + 40), Lsn(end))]);
    assert_eq!(seen.last_record, Some(Lsn(log.from + whole as u64)));

    // Cut within the last record: it does not count, what is before it does.
    let mut cut = bytes.clone();
    for b in &mut cut[whole..] {
        *b = 0;
    }
    let seen = log.read(&cut);
    assert_eq!((seen.last_record, seen.end), (Some(Lsn(last)), Lsn(log.from + whole as u64)));
    // From the second segment on: what began before is passed over.
    let mut later = Scanner::new(Lsn(4 * SIZE), SIZE);
    for segment in bytes[SIZE as usize..].chunks(SIZE as usize) {
        later.segment(&mut &segment[..]).unwrap();
    }
    assert_eq!(later.seen().last.map(|e| e.at), Some(Lsn(last)));
}

#[test]
fn the_rest_of_a_switched_segment_is_empty() {
    let mut log = Writer::new(SIZE);
    log.commit(1_700_000_000_000_000);
    log.put(0, 0x40, &[]);
    // What the server leaves behind a switch: pages with headers, or zeros.
    while !log.bytes.len().is_multiple_of(PAGE) {
        log.bytes.push(0);
    }
    while log.bytes.len() < SIZE as usize {
        log.header(0);
        let full = log.bytes.len().next_multiple_of(PAGE);
        log.bytes.resize(full, 0);
    }
    let at = log.commit(1_700_000_005_000_000);
    let mut bytes = log.bytes.clone();
    bytes.resize(bytes.len().next_multiple_of(PAGE), 0);
    assert_eq!(log.read(&bytes).last.map(|e| e.at), Some(Lsn(at)));
    let alone = log.read(&bytes[..SIZE as usize]);
    assert_eq!(alone.end, Lsn(2 * SIZE));
}

proptest::proptest! {
    #[test]
    fn whatever_bytes_it_ends(bytes in proptest::collection::vec(0u8.., 0..40_000), at in 0u64..1 << 40) {
        let mut scanner = Scanner::new(Lsn(at), SIZE);
        scanner.segment(&mut bytes.as_slice()).unwrap();
        scanner.seen();
    }

    #[test]
    fn a_page_with_noise_ends_too(noise in proptest::collection::vec(0u8.., PAGE * 2), flags in 0u16..4, rest in 0u32..) {
        let mut bytes = noise;
        for (n, page) in bytes.chunks_mut(PAGE).enumerate() {
            page[0..2].copy_from_slice(&0xD110u16.to_le_bytes());
            page[2..4].copy_from_slice(&flags.to_le_bytes());
            page[8..16].copy_from_slice(&(SIZE + (n * PAGE) as u64).to_le_bytes());
            page[16..20].copy_from_slice(&rest.to_le_bytes());
        }
        let mut scanner = Scanner::new(Lsn(SIZE), SIZE);
        scanner.segment(&mut bytes.as_slice()).unwrap();
        scanner.seen();
    }
}
