//! The data sets are the ones that their README describes, to the bit.

use std::fmt::Write;
use std::path::Path;

use sha2::{Digest, Sha256};

#[test]
fn every_data_file_has_the_documented_checksum() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let mut files = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "gz") {
            continue;
        }
        let mut hex = String::new();
        for byte in Sha256::digest(std::fs::read(&path).unwrap()) {
            write!(hex, "{byte:02x}").unwrap();
        }
        let name = path.file_name().unwrap().to_str().unwrap();
        let section =
            readme.split(&format!("`{name}`")).nth(1).unwrap_or_else(|| panic!("{name} is not described"));
        let checksum = section.split("SHA-256: ").nth(1).map(|rest| &rest[..64]);
        assert_eq!(checksum, Some(hex.as_str()), "{name}");
        assert!(section.contains("licence"), "{name} has no licence note");
        files += 1;
    }
    assert_eq!(files, 2);
}
