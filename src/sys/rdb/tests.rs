use super::*;

/// Of redis-server 7.0.15: three keys that expire.
const THREE: &str = "524544495330303130fa0972656469732d76657206372e302e3135fa0a72656469732d62697473c040fa056374696d65c27ba4006bfa08\
757365642d6d656dc220b60e00fa08616f662d62617365c000fe00fb0303fcacc391faa101000000026b32027632fcafc391faa101000000026b33027633\
fca4c391faa101000000026b31027631ff9a6ecb5ec0b4bed0";

fn three() -> Vec<u8> {
    hex::decode(THREE).unwrap()
}

fn go(_: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[test]
fn the_sum_is_the_one_of_redis() {
    // crc64.c, its own test: the sum of "123456789".
    assert_eq!(crc64(0, b"123456789"), 0xe9c6_d914_c4b8_d9ca);
    let long: Vec<u8> = (0..10_000u32).map(|n| (n * 7 % 251) as u8).collect();
    for cut in [0, 1, 7, 8, 9, 4999] {
        assert_eq!(crc64(crc64(0, &long[..cut]), &long[cut..]), crc64(0, &long), "{cut}");
    }
}

#[test]
fn a_file_is_read_to_its_end_and_every_cut_and_every_flip_is_seen() {
    let file = three();
    let whole = check(&file[..], &mut go).unwrap().unwrap();
    assert_eq!((whole.head.version, whole.bytes, whole.summed), (10, file.len() as u64, true));
    assert_eq!(whole.head.memory(), Some(0x000e_b620));
    assert_eq!(whole.head.word(), "version 10, by Redis 7.0.15");
    for cut in 0..file.len() {
        check(&file[..cut], &mut go).unwrap_err();
    }
    for at in 0..file.len() {
        let mut bad = file.clone();
        bad[at] ^= 0x10;
        assert!(check(&bad[..], &mut go).is_err(), "byte {at}");
    }
    let mut longer = file.clone();
    longer.push(0);
    assert!(check(&longer[..], &mut go).is_err());
    let mut unsummed = file.clone();
    let length = unsummed.len();
    unsummed[length - 8..].fill(0);
    assert!(!check(&unsummed[..], &mut go).unwrap().unwrap().summed);
}

#[test]
fn commands_are_good_up_to_the_last_whole_one() {
    let set = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n";
    let multi = [&b"*1\r\n$5\r\nMULTI\r\n"[..], set].concat();
    let exec = b"*1\r\n$4\r\nEXEC\r\n";
    let all = |parts: &[&[u8]]| check_aof(&parts.concat()[..], &mut go).unwrap().unwrap();
    let whole = all(&[set, b"#TS:1795204219\r\n", &multi, exec]);
    assert_eq!((whole.commands, whole.fault.clone(), whole.good), (4, None, whole.bytes));
    for cut in 1..set.len() {
        let torn = all(&[set, &set[..cut]]);
        assert_eq!((torn.good, torn.bytes), (set.len() as u64, (set.len() + cut) as u64), "{cut}");
        assert!(torn.fault.is_some());
    }
    let open = all(&[set, &multi]);
    assert_eq!((open.good, open.fault.is_some()), (set.len() as u64, true));
    let bad = all(&[set, b"*1\r\nxx\r\n", set]);
    assert_eq!((bad.good, bad.bytes), (set.len() as u64, (2 * set.len() + 8) as u64));
}

#[test]
fn commands_behind_an_rdb_file_begin_where_its_sum_fits() {
    let set = b"*1\r\n$4\r\nPING\r\n";
    // Marks right before the true one must not hide it.
    for marks in 0..12 {
        let mut file = b"REDIS0010".to_vec();
        file.extend(std::iter::repeat_n(END, marks));
        file.push(END);
        let sum = crc64(0, &file);
        file.extend(sum.to_le_bytes());
        let length = file.len() as u64;
        file.extend(set);
        let found = check_aof(&file[..], &mut go).unwrap().unwrap();
        assert_eq!((found.commands, found.good, found.fault), (1, length + set.len() as u64, None), "{marks}");
    }
    let mut file = three();
    file.extend(set);
    assert_eq!(check_aof(&file[..], &mut go).unwrap().unwrap().commands, 1);
    assert!(check_aof(&three()[..100], &mut go).is_err());
}
