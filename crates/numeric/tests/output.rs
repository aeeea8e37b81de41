//! Streaming output: every interrupted run must end with the bytes of one that was not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use ndarray::{Array2, ArrayRef2};
use numeric::output::{Fingerprint, NpyWriter, RunId};
use numeric::{Error, Real};

/// Held for writing while a process is started: until it runs its own program it shares the open files, and the locks
/// on them, of the tests in other threads.
static STARTING: RwLock<()> = RwLock::new(());

/// A folder of its own for each test, removed at its end; with a reading hold of [`STARTING`].
struct Folder {
    path: PathBuf,
    _hold: Option<RwLockReadGuard<'static, ()>>,
}

impl Folder {
    fn new(name: &str) -> Folder {
        Folder {
            path: Folder::made(name),
            _hold: Some(STARTING.read().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    /// For the test that starts processes.
    fn of_starter(name: &str) -> Folder {
        Folder { path: Folder::made(name), _hold: None }
    }

    fn made(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("girsanov-output-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Every file with its bytes, by name.
    fn state(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files: Vec<_> =
            fs::read_dir(&self.path).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
    }

    fn set(&self, state: &[(PathBuf, Vec<u8>)]) {
        fs::remove_dir_all(&self.path).unwrap();
        fs::create_dir(&self.path).unwrap();
        state.iter().for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn id(rows: std::ops::Range<u64>) -> RunId {
    RunId {
        seed: 7,
        rows,
        fingerprint: Fingerprint::new().text("method", "heun").numbers("grid", &[0.0, 1.0]),
    }
}

/// The rows of the run: a function of the row's number alone.
fn rows<F: Real>(first: u64, n: usize, dim: usize) -> Array2<F> {
    Array2::from_shape_fn((n, dim), |(i, j)| {
        let x = ((first + i as u64) * 1_000_003 + j as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        F::of((x >> 11) as f64 / (1_u64 << 53) as f64 - 0.5)
    })
}

/// Goes on to the end in blocks, with a checkpoint after each `every`-th block.
fn run<F: Real>(path: &Path, id: &RunId, dim: usize, block: u64, every: u64) -> Result<PathBuf, Error> {
    let mut writer = NpyWriter::<F>::open(path, id, dim)?;
    for number in 1.. {
        let first = writer.next_row();
        if first == id.rows.end {
            break;
        }
        let n = block.min(id.rows.end - first) as usize;
        writer.write_rows(first, &rows(first, n, dim))?;
        if std::env::var_os(CHILD).is_some() {
            // Slowly, so that a kill finds it at work.
            std::thread::sleep(Duration::from_micros(300));
        }
        if number % every == 0 {
            writer.checkpoint()?;
        }
    }
    writer.finish()
}

/// What NumPy's specification of format 1.0 says the file is, written without the library.
fn expected<F: Real>(id: &RunId, dim: usize, descr: &str) -> Vec<u8> {
    let count = id.rows.end - id.rows.start;
    let dict = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({count}, {dim}, ), }}");
    let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    bytes.extend(format!("{dict:<117}\n").bytes());
    for x in rows::<F>(id.rows.start, count as usize, dim) {
        match descr {
            "<f4" => bytes.extend((x.as_f64() as f32).to_le_bytes()),
            _ => bytes.extend(x.as_f64().to_le_bytes()),
        }
    }
    bytes
}

fn message(error: Error) -> String {
    assert!(matches!(error, Error::File { .. }), "{error:?}");
    error.to_string()
}

fn open(path: &Path, id: &RunId, dim: usize) -> Result<NpyWriter<f64>, Error> {
    NpyWriter::open(path, id, dim)
}

const CHILD: &str = "GIRSANOV_OUTPUT_CHILD";

/// 400 rows of 32 KiB, so that the writer's buffer runs over between checkpoints.
fn killed() -> (RunId, usize) {
    (id(1000..1400), 4096)
}

/// Not a test of its own: the process which `a_killed_process_resumes` starts and kills.
#[test]
fn child() {
    if let Some(path) = std::env::var_os(CHILD) {
        let (id, dim) = killed();
        run::<f64>(Path::new(&path), &id, dim, 5, 9).unwrap();
    }
}

#[test]
fn a_killed_process_resumes() {
    let folder = Folder::of_starter("kill");
    let (path, (id, dim)) = (folder.file("x.npy"), killed());
    let whole = expected::<f64>(&id, dim, "<f8");
    let length = || fs::metadata(folder.file("x.npy.part")).map_or(0, |part| part.len());
    let (mut kills, mut lengths, mut random) = (0, std::collections::BTreeSet::new(), verify::seed(1));
    while !path.exists() {
        let starting = STARTING.write().unwrap_or_else(PoisonError::into_inner);
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["child", "--exact", "--test-threads=1"])
            .env(CHILD, &path)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        drop(starting);
        let kill = kills < 40;
        if kill {
            // Each kill at a random moment after a later byte; the last ten after the last byte.
            let byte = whole.len() as u64 * kills.min(30) / 30;
            while length() < byte && child.try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_micros(100));
            }
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            std::thread::sleep(Duration::from_micros((random >> 33) % 4000));
            child.kill().unwrap();
            kills += 1;
        }
        let status = child.wait().unwrap();
        assert!(kill || status.success());
        lengths.insert(length());
    }
    println!("{kills} kills left part files of the lengths {lengths:?}");
    assert!(
        lengths.len() >= 3,
        "{kills} kills left part files of the lengths {lengths:?}: nothing was tested"
    );
    assert!(fs::read(&path).unwrap() == whole);
}

/// The state of the folder after each step of a run is one that a kill can leave; so are its torn variants.
#[test]
fn every_torn_part_resumes_or_is_refused() {
    let folder = Folder::new("torn");
    let (path, id) = (folder.file("x.npy"), id(3..8));
    let whole = expected::<f32>(&id, 3, "<f4");
    let mut writer = NpyWriter::<f32>::open(&path, &id, 3).unwrap();
    writer.write_rows(3, &rows(3, 2, 3)).unwrap();
    writer.checkpoint().unwrap();
    drop(writer);
    let [journal, part] = &folder.state()[..] else { panic!("journal and part") };
    let promised = 128 + 2 * 3 * 4;
    assert_eq!(part.1, whole[..promised]);
    for length in 0..whole.len() {
        // Beyond the promise first the true bytes, then garbage, as after a power cut.
        for garbage in if length > promised { vec![0, 0xff] } else { vec![0] } {
            let mut bytes = whole[..length].to_vec();
            bytes.iter_mut().skip(promised).for_each(|byte| *byte |= garbage);
            bytes.resize(length + usize::from(garbage / 6), garbage);
            folder.set(&[(part.0.clone(), bytes), journal.clone()]);
            let before = folder.state();
            let outcome = run::<f32>(&path, &id, 3, 2, 9);
            if length == 0 || length >= promised {
                assert!(fs::read(outcome.unwrap()).unwrap() == whole, "length {length}");
                assert_eq!(folder.state().len(), 1);
            } else {
                assert!(message(outcome.unwrap_err()).contains(&format!("is {length} bytes long")));
                assert!(folder.state() == before, "length {length}: something was changed");
            }
        }
    }
    // Without the journal: rows are never thrown away, a header without rows is no loss.
    for length in (0..whole.len()).step_by(8).chain([1, 127, 129]) {
        folder.set(&[(part.0.clone(), whole[..length].to_vec())]);
        match run::<f32>(&path, &id, 3, 2, 9) {
            Ok(path) => assert!(length <= 128 && fs::read(path).unwrap() == whole),
            Err(error) => assert!(length > 128 && message(error).contains("no journal")),
        }
    }
    // Another header where ours should be.
    let mut bytes = whole[..promised].to_vec();
    bytes[64] ^= 1;
    folder.set(&[(part.0.clone(), bytes), journal.clone()]);
    assert!(message(run::<f32>(&path, &id, 3, 2, 1).unwrap_err()).contains("header"));
}

#[test]
fn every_torn_or_altered_journal_is_refused() {
    let folder = Folder::new("journal");
    let (path, id) = (folder.file("x.npy"), id(0..6));
    let whole = expected::<f64>(&id, 1, "<f8");
    let mut writer = open(&path, &id, 1).unwrap();
    writer.write_rows(0, &rows(0, 4, 1)).unwrap();
    writer.checkpoint().unwrap();
    drop(writer);
    let [journal, part] = &folder.state()[..] else { panic!("journal and part") };
    let refused = |bytes: Vec<u8>| {
        folder.set(&[part.clone(), (journal.0.clone(), bytes)]);
        let before = folder.state();
        assert!(message(run::<f64>(&path, &id, 1, 2, 1).unwrap_err()).contains("damaged"));
        assert!(folder.state() == before);
    };
    for index in 0..journal.1.len() {
        refused(journal.1[..index].to_vec());
        let mut bytes = journal.1.clone();
        bytes[index] ^= 1 << (index % 8);
        refused(bytes);
    }
    // A new journal that was torn before its rename is not the journal.
    let torn = (folder.file("x.npy.journal.new"), journal.1[..9].to_vec());
    folder.set(&[part.clone(), journal.clone(), torn]);
    assert!(fs::read(run::<f64>(&path, &id, 1, 9, 1).unwrap()).unwrap() == whole);
    // Killed in `finish` before the journal went, or the part file removed by hand: nothing to protect.
    for left in [vec![journal.clone()], vec![(part.0.clone(), vec![]), journal.clone()]] {
        folder.set(&left);
        assert!(fs::read(run::<f64>(&path, &id, 1, 2, 1).unwrap()).unwrap() == whole);
        assert_eq!(folder.state().len(), 1);
    }
}

#[test]
fn another_run_is_refused_by_name() {
    let folder = Folder::new("other");
    let (path, ours) = (folder.file("x.npy"), id(0..4));
    let mut writer = open(&path, &ours, 2).unwrap();
    writer.write_rows(0, &rows(0, 3, 2)).unwrap();
    writer.checkpoint().unwrap();
    drop(writer);
    let before = folder.state();
    let refused = |outcome: Result<NpyWriter<f64>, Error>, named: &str| {
        let text = message(outcome.unwrap_err());
        assert!(text.contains(named), "{text}");
        assert!(folder.state() == before);
    };
    let fingerprint = |method, nodes: &[f64]| {
        let fingerprint = Fingerprint::new().text("method", method).numbers("grid", nodes);
        RunId { fingerprint, ..ours.clone() }
    };
    refused(open(&path, &RunId { seed: 8, ..ours.clone() }, 2), "has `seed 7`, this run `seed 8`");
    refused(open(&path, &id(0..5), 2), "has `rows 0..4`, this run `rows 0..5`");
    refused(open(&path, &id(1..4), 2), "has `rows 0..4`");
    refused(open(&path, &ours, 3), "has `dim 2`, this run `dim 3`");
    refused(open(&path, &fingerprint("euler", &[0.0, 1.0]), 2), "has `method = \"heun\"`");
    refused(open(&path, &fingerprint("heun", &[0.0, 1.0_f64.next_up()]), 2), "has `grid = 2 f64, ");
    let longer = RunId { fingerprint: ours.fingerprint.clone().number("eta", 0.5), ..ours.clone() };
    refused(open(&path, &longer, 2), "`eta = 5e-1`");
    let shorter = RunId { fingerprint: Fingerprint::new().text("method", "heun"), ..ours.clone() };
    refused(open(&path, &shorter, 2), "has `grid = 2 f64, ");
    let text = message(NpyWriter::<f32>::open(&path, &ours, 2).unwrap_err());
    assert!(text.contains("has `element <f8`, this run `element <f4`"), "{text}");
    assert_eq!(open(&path, &ours, 2).unwrap().next_row(), 3);
}

#[test]
fn rows_out_of_order_or_of_another_shape_are_refused() {
    let folder = Folder::new("order");
    let (path, id) = (folder.file("x.npy"), id(10..14));
    let mut writer = open(&path, &id, 2).unwrap();
    writer.write_rows(10, &rows(10, 1, 2)).unwrap();
    for first in [0, 10, 12, u64::MAX] {
        let refused = writer.write_rows(first, &rows(11, 1, 2)).unwrap_err();
        assert!(matches!(refused, Error::Domain { parameter: "first_row", .. }), "{refused:?}");
    }
    let mut shape = |block: &ArrayRef2<f64>| writer.write_rows(11, block).unwrap_err();
    assert_eq!(shape(&rows(11, 1, 3)).to_string(), "`rows` has shape [1, 3]; expected [1, 2]");
    assert_eq!(shape(&rows(11, 4, 2)).to_string(), "`rows` has shape [4, 2]; expected [3, 2]");
    writer.write_rows(11, &rows(11, 0, 2)).unwrap();
    assert!(message(writer.finish().unwrap_err()).contains("row 11 of 10..14 is next"));
    // Nothing but the checkpoint of `open` was kept.
    assert_eq!(open(&path, &id, 2).unwrap().next_row(), 10);
    run::<f64>(&path, &id, 2, 3, 2).unwrap();
    assert!(fs::read(&path).unwrap() == expected::<f64>(&id, 2, "<f8"));
}

/// Heights, widths and types; the array as the library reads it.
#[test]
fn the_file_is_the_array() {
    fn check<F: Real + npyz::Deserialize>(range: std::ops::Range<u64>, dim: usize, descr: &str) {
        let folder = Folder::new(&format!("{descr}-{range:?}-{dim}").replace('<', ""));
        let (path, id) = (folder.file("x.npy"), id(range.clone()));
        run::<F>(&path, &id, dim, 3, 2).unwrap();
        let bytes = fs::read(&path).unwrap();
        assert!(bytes == expected::<F>(&id, dim, descr), "{range:?} {dim} {descr}");
        let file = npyz::NpyFile::new(&bytes[..]).unwrap();
        let count = range.end - range.start;
        assert_eq!(file.shape(), [count, dim as u64]);
        assert_eq!(
            file.into_vec::<F>().unwrap(),
            rows::<F>(range.start, count as usize, dim).into_raw_vec_and_offset().0
        );
    }
    for range in [0..0, 5..5, 0..1, 9..10, 4..13] {
        for dim in [1, 2, 7] {
            check::<f32>(range.clone(), dim, "<f4");
            check::<f64>(range.clone(), dim, "<f8");
        }
    }
    // More than the writer's buffer, in one block and in many.
    for block in [7_000, 40_000] {
        let folder = Folder::new(&format!("large-{block}"));
        let (path, id) = (folder.file("x.npy"), id(0..40_000));
        run::<f64>(&path, &id, 17, block, 3).unwrap();
        assert!(fs::read(&path).unwrap() == expected::<f64>(&id, 17, "<f8"));
    }
}

#[test]
fn any_memory_layout_is_written_row_by_row() {
    let folder = Folder::new("layout");
    let id = id(0..6);
    let whole = rows::<f64>(0, 6, 5);
    let transposed = whole.t().as_standard_layout().into_owned();
    let mut wide = Array2::from_elem((6, 9), f64::NAN);
    wide.slice_mut(ndarray::s![.., 2..7]).assign(&whole);
    for (name, block) in [("t", transposed.t()), ("w", wide.slice(ndarray::s![.., 2..7]))] {
        let mut writer = open(&folder.file(name), &id, 5).unwrap();
        writer.write_rows(0, &block).unwrap();
        let path = writer.finish().unwrap();
        assert!(fs::read(path).unwrap() == expected::<f64>(&id, 5, "<f8"), "{name}");
    }
}

#[test]
fn one_writer_at_a_time_and_no_overwriting() {
    let folder = Folder::new("lock");
    let (path, id) = (folder.file("x.npy"), id(0..3));
    let mut writer = open(&path, &id, 2).unwrap();
    assert!(message(open(&path, &id, 2).unwrap_err()).contains("another process"));
    writer.write_rows(0, &rows(0, 3, 2)).unwrap();
    // Somebody puts a file in the place: it is kept, and so are the rows.
    fs::write(&path, "precious").unwrap();
    assert!(message(writer.finish().unwrap_err()).contains("already exists"));
    assert!(message(open(&path, &id, 2).unwrap_err()).contains("already exists"));
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    fs::remove_file(&path).unwrap();
    run::<f64>(&path, &id, 2, 2, 1).unwrap();
    assert!(message(open(&path, &id, 2).unwrap_err()).contains("already exists"));
}

#[test]
fn impossible_files_are_refused() {
    let folder = Folder::new("impossible");
    let path = folder.file("x.npy");
    let domain = |outcome: Result<NpyWriter<f64>, Error>| match outcome.unwrap_err() {
        Error::Domain { parameter, .. } => parameter,
        other => panic!("{other:?}"),
    };
    assert_eq!(domain(open(&path, &id(0..4), 0)), "dim");
    #[expect(clippy::reversed_empty_ranges, reason = "what is refused")]
    let reversed = 4..3;
    assert_eq!(domain(open(&path, &id(reversed), 2)), "rows.end");
    assert_eq!(domain(open(&path, &id(0..u64::MAX), 1)), "rows");
    assert_eq!(domain(open(&path, &id(0..1 << 60), 1)), "rows");
    assert_eq!(domain(open(&path, &id(0..0), usize::MAX)), "rows");
    assert!(folder.state().is_empty());
    message(open(&folder.file("missing/x.npy"), &id(0..4), 2).unwrap_err());
    fs::write(folder.file("plain"), "").unwrap();
    message(open(&folder.file("plain/x.npy"), &id(0..4), 2).unwrap_err());
    message(open(&folder.path, &id(0..4), 2).unwrap_err());
    // The journal's place is taken by a folder: no run begins.
    fs::create_dir(folder.file("x.npy.journal")).unwrap();
    message(open(&path, &id(0..4), 2).unwrap_err());
}
