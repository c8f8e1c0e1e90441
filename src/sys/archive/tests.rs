use super::*;
use std::io::Write;

fn gz(data: &[u8]) -> Vec<u8> {
    let mut e = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    e.write_all(data).unwrap();
    e.finish().unwrap()
}

fn zst(data: &[u8]) -> Vec<u8> {
    let mut e = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    e.include_checksum(true).unwrap();
    e.write_all(data).unwrap();
    e.finish().unwrap()
}

/// Bytes that do not compress to almost nothing, so that cutting hits data and not only the trailer.
fn sample(n: usize) -> Vec<u8> {
    let mut x = 0x2545_F491_4F6C_DD1Du64;
    (0..n)
        .map(|_| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            (x >> 32) as u8
        })
        .collect()
}

fn check(name: &str, content: &[u8]) -> Result<Decoded, ArchiveError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, content).unwrap();
    read_to_end_check(&path, &mut |_| {})
}

#[test]
fn codecs_by_magic_and_name() {
    assert_eq!(Codec::by_magic(b"PGDMP"), Codec::Plain);
    assert_eq!(Codec::by_magic(&gz(b"x")), Codec::Gzip);
    assert_eq!(Codec::by_magic(&zst(b"x")), Codec::Zstd);
    assert_eq!(Codec::by_magic(&[0x53, 0x2A, 0x4D, 0x18]), Codec::Zstd);
    assert_eq!(Codec::by_magic(&[0x1F]), Codec::Plain);
    for (name, codec) in [
        ("a.sql", Codec::Plain),
        ("a.SQL.GZ", Codec::Gzip),
        ("a.tgz", Codec::Gzip),
        ("a.tar.zst", Codec::Zstd),
        ("gz", Codec::Plain),
    ] {
        assert_eq!(Codec::by_name(Path::new(name)), codec, "{name}");
    }
}

#[test]
fn whole_archives_are_read_to_the_end() {
    let data = sample(700_000);
    let two_members = [gz(&data[..300_000]), gz(&data[300_000..])].concat();
    let two_frames = [zst(&data[..300_000]), zst(&data[300_000..])].concat();
    for (name, content, codec) in [
        ("a.sql", data.clone(), Codec::Plain),
        ("a.gz", gz(&data), Codec::Gzip),
        ("a.gz", two_members, Codec::Gzip),
        ("no extension", gz(&data), Codec::Gzip),
        ("a.zst", zst(&data), Codec::Zstd),
        ("a.zst", two_frames, Codec::Zstd),
    ] {
        let decoded = check(name, &content).unwrap();
        assert_eq!((decoded.bytes, decoded.codec), (700_000, codec), "{name}");
        assert_eq!(decoded.tail, &data[data.len() - 4096..], "{name}");
    }
    assert_eq!(check("short.sql", b"abc").unwrap().tail, b"abc");
}

#[test]
fn nothing_inside_is_empty() {
    for (name, content) in [("a.sql", vec![]), ("a.gz", vec![]), ("a.gz", gz(b"")), ("a.zst", zst(b""))] {
        let found = check(name, &content);
        assert!(matches!(found, Err(ArchiveError::Empty)), "{name}: {found:?}");
    }
}

#[test]
fn a_cut_at_any_byte_is_noticed() {
    let data = sample(3000);
    for (name, whole) in [("a.gz", gz(&data)), ("a.zst", zst(&data))] {
        // Two bytes of a zstd magic are not one yet; then the name and the bytes disagree, which is noticed too.
        for cut in 1..whole.len() {
            match check(name, &whole[..cut]) {
                Err(ArchiveError::Truncated { at }) => assert!(at <= 3000),
                Err(ArchiveError::Corrupt { at: 0, .. }) if cut < 4 => {}
                other => panic!("{name} cut at {cut} of {}: {other:?}", whole.len()),
            }
        }
    }
}

#[test]
fn a_cut_in_the_second_member_is_noticed() {
    let (one, two) = (gz(&sample(3000)), gz(&sample(2000)));
    for cut in 1..two.len() {
        let found = check("a.gz", &[&one[..], &two[..cut]].concat());
        let noticed = matches!(found, Err(ArchiveError::Truncated { .. } | ArchiveError::Corrupt { .. }));
        assert!(noticed, "cut at {cut}: {found:?}");
    }
    let (one, two) = (zst(&sample(3000)), zst(&sample(2000)));
    for cut in 1..two.len() {
        let found = check("a.zst", &[&one[..], &two[..cut]].concat());
        let noticed = matches!(found, Err(ArchiveError::Truncated { .. } | ArchiveError::Corrupt { .. }));
        assert!(noticed, "cut at {cut}: {found:?}");
    }
}

#[test]
fn damage_and_garbage_are_corrupt() {
    let data = sample(50_000);
    let flipped = |mut whole: Vec<u8>| {
        let middle = whole.len() / 2;
        whole[middle] ^= 0x55;
        whole
    };
    for (name, content) in [
        ("a.gz", flipped(gz(&data))),
        ("a.zst", flipped(zst(&data))),
        ("a.gz", [gz(&data), b"garbage after the end".to_vec()].concat()),
        ("a.gz", [gz(&data), vec![0; 512]].concat()),
        ("a.zst", [zst(&data), b"garbage after the end".to_vec()].concat()),
        ("a.gz", data.clone()),
        ("a.zst", gz(&data)),
    ] {
        let found = check(name, &content);
        assert!(matches!(found, Err(ArchiveError::Corrupt { .. })), "{name}: {found:?}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_not_called_corrupt() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe.gz");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    for path in [dir.path().join("none.gz"), dir.path().to_path_buf(), pipe] {
        let found = read_to_end_check(&path, &mut |_| {});
        assert!(matches!(found, Err(ArchiveError::Io(_))), "{found:?}");
    }
}

#[test]
fn progress_counts_the_file_and_can_stop() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.gz");
    let content = gz(&sample(3_000_000));
    std::fs::write(&path, &content).unwrap();
    let mut seen = vec![];
    read_to_end_check(&path, &mut |bytes| seen.push(bytes)).unwrap();
    assert!(seen.len() > 5 && seen.is_sorted() && seen.last() == Some(&(content.len() as u64)), "{seen:?}");
    let mut calls = 0;
    let found = read_to_end_check_until(&path, &mut |_| {
        calls += 1;
        if calls == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(matches!(found, Err(ArchiveError::Cancelled { at }) if at > 0 && at < 3_000_000), "{found:?}");
}

#[test]
fn the_reader_streams_any_codec() {
    let dir = tempfile::tempdir().unwrap();
    let data = sample(100_000);
    for content in [data.clone(), gz(&data), zst(&data), [gz(&data[..5]), gz(&data[5..])].concat()] {
        let path = dir.path().join("x");
        std::fs::write(&path, content).unwrap();
        let mut decoded = vec![];
        reader(File::open(&path).unwrap()).unwrap().read_to_end(&mut decoded).unwrap();
        assert_eq!(decoded, data);
    }
}

#[test]
fn what_is_read_ahead_is_what_is_there_with_its_end_or_its_fault() {
    struct Scripted(Vec<io::Result<Vec<u8>>>);
    impl Read for Scripted {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.pop() {
                None => Ok(0),
                Some(Err(e)) => Err(e),
                Some(Ok(bytes)) => {
                    assert!(bytes.len() <= buffer.len(), "the decoder broke");
                    buffer[..bytes.len()].copy_from_slice(&bytes);
                    Ok(bytes.len())
                }
            }
        }
    }
    let whole: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
    let mut read = Vec::new();
    super::ahead::ahead(io::Cursor::new(whole.clone())).unwrap().read_to_end(&mut read).unwrap();
    assert!(read == whole);

    let cut = Scripted(vec![Err(io::ErrorKind::UnexpectedEof.into()), Ok(vec![1, 2, 3])]);
    let mut cut = super::ahead::ahead(cut).unwrap();
    let fault = cut.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(fault.kind(), io::ErrorKind::UnexpectedEof);

    // A thread that dies without a word must not look like the end.
    let broken = Scripted(vec![Ok(vec![0; 1 << 20])]);
    let mut broken = super::ahead::ahead(broken).unwrap();
    broken.read_to_end(&mut Vec::new()).unwrap_err();

    // Whoever stops listening ends it.
    let mut left = super::ahead::ahead(io::repeat(7)).unwrap();
    left.read_exact(&mut [0; 10]).unwrap();
    drop(left);
}
