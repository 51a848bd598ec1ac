//! The corpora, replayed.

use std::path::Path;

/// Every file of a corpus is taken as it is; an empty corpus replays nothing and fails.
fn replay(target: &str, check: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let files: Vec<_> = std::fs::read_dir(folder).expect("there is a corpus").flatten().collect();
    assert!(!files.is_empty());
    for file in files {
        check(&std::fs::read(file.path()).expect("a file of the corpus can be read"));
    }
}

#[test]
fn messages() {
    replay("message", hairpin_fuzz::message);
}

#[test]
fn channel_data() {
    replay("channel_data", hairpin_fuzz::channel_data);
}

#[test]
fn framing() {
    replay("framing", hairpin_fuzz::framing);
}

#[test]
fn greeting() {
    replay("greeting", hairpin_fuzz::greeting);
}

#[test]
fn path() {
    replay("path", hairpin_fuzz::path);
}

#[test]
fn proxy() {
    replay("proxy", hairpin_fuzz::proxy);
}
