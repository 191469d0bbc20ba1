//! Every example of the policy guide is carried out as it stands there.
//!
//! A chapter begins anew in a folder with what `wavegate init demo` writes. A block that names a
//! file, as ```` ```yaml demo/policy.yaml ````, is written into that file; the lines of a `console`
//! block that begin with `$` are run, and what follows them is compared with what they say. A line
//! `…` stands for any lines. `WAVEGATE_BLESS=1` writes what a block without `…` says anew.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use wavegate_tests::fleet::Fleet;

/// Chapters that are carried out side by side: most of their time is waiting.
const AT_ONCE: usize = 3;

fn guide() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/docs/policy-guide.md")
}

/// A fenced block.
#[derive(Debug)]
struct Block {
    /// What stands behind the fence, such as `yaml demo/policy.yaml`.
    kind: String,
    /// Number of its first line, from 0.
    line: usize,
    lines: Vec<String>,
}

#[derive(Debug)]
struct Chapter {
    title: String,
    blocks: Vec<Block>,
}

fn chapters(text: &str) -> Vec<Chapter> {
    let mut chapters: Vec<Chapter> = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in text.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(kind)) => {
                open = Some(Block {
                    kind: kind.to_owned(),
                    line: number + 1,
                    lines: Vec::new(),
                });
            }
            (Some(_), Some(_)) => {
                let block = open.take().expect("it is open");
                let chapter = chapters.last_mut();
                chapter
                    .expect("no block before a chapter")
                    .blocks
                    .push(block);
            }
            (Some(block), None) => block.lines.push(line.to_owned()),
            (None, None) => {
                if let Some(title) = line.strip_prefix("## ") {
                    chapters.push(Chapter {
                        title: title.to_owned(),
                        blocks: Vec::new(),
                    });
                }
            }
        }
    }
    chapters
}

/// Lines of the guide that are to be others, by number.
type Rewrites = Vec<(usize, usize, Vec<String>)>;

/// What came of a chapter.
#[derive(Default)]
struct Findings {
    wrong: Vec<String>,
    rewrites: Rewrites,
    runs: usize,
    plans: usize,
}

struct Story<'a> {
    chapter: &'a Chapter,
    fleet: Fleet,
    code: Option<i32>,
    found: Findings,
}

impl Story<'_> {
    fn tell(mut self) -> Findings {
        let mut unchecked: Option<&Block> = None;
        for block in &self.chapter.blocks {
            match block.kind.split_once(' ').unwrap_or((&block.kind, "")) {
                ("yaml", file) if !file.is_empty() => {
                    if let Some(earlier) = unchecked.filter(|earlier| earlier.kind == block.kind) {
                        self.wrong(earlier, "is never tried");
                    }
                    self.write(file, block);
                    unchecked = Some(block);
                }
                ("console", "") => {
                    self.console(block);
                    unchecked = None;
                }
                _ => self.wrong(block, "is neither `yaml FILE` nor `console`"),
            }
        }
        if let Some(block) = unchecked {
            self.wrong(block, "is never tried");
        }
        let left = self.fleet.processes();
        if left.is_empty() {
            // The last documents of a chapter may be wrong on purpose, and stop no fleet.
            let documents = self.fleet.documents();
            std::fs::remove_dir_all(documents).expect("they can be removed");
        } else {
            let title = &self.chapter.title;
            let what = format!("{title}: still running at its end: {left:?}");
            self.found.wrong.push(what);
        }
        self.found
    }

    fn wrong(&mut self, block: &Block, what: &str) {
        let title = &self.chapter.title;
        let line = block.line;
        self.found
            .wrong
            .push(format!("{title}: the block at line {line} {what}"));
    }

    fn write(&self, file: &str, block: &Block) {
        let mut text = block.lines.join("\n") + "\n";
        // The guide says the ports that `init` takes by default.
        for site in 0..3_u16 {
            let (said, own) = (18_081 + site, self.fleet.port() + site);
            text = text.replace(&format!("127.0.0.1:{said}"), &format!("127.0.0.1:{own}"));
        }
        let path = self.fleet.folder().join(file);
        std::fs::create_dir_all(path.parent().expect("it has a folder")).expect("it can be made");
        std::fs::write(path, text).expect("it can be written");
    }

    fn console(&mut self, block: &Block) {
        let mut at = 0;
        while at < block.lines.len() {
            let Some(command) = block.lines[at].strip_prefix("$ ") else {
                return self.wrong(block, "does not begin with a command");
            };
            let begin = at + 1;
            let more = block.lines[begin..]
                .iter()
                .take_while(|line| !line.starts_with("$ "));
            at = begin + more.count();
            let expected = &block.lines[begin..at];
            let said = self.run(command);
            // A plan is the same each time.
            let as_it_is = ["wavegate plan", "wavegate validate"];
            let same: fn(&str) -> String = if as_it_is.iter().any(|c| command.starts_with(c)) {
                str::to_owned
            } else {
                plain
            };
            if matches(expected, &said, same) {
                continue;
            }
            let blessed = std::env::var_os("WAVEGATE_BLESS").is_some();
            if let Some(renewed) = renewed(expected, &said).filter(|_| blessed) {
                let from = block.line + begin;
                let rewrite = (from, from + expected.len(), renewed);
                self.found.rewrites.push(rewrite);
            } else {
                let what = format!(
                    "says of `{command}`\n{}\nand it is\n{}\n",
                    expected.join("\n"),
                    said.join("\n")
                );
                self.wrong(block, &what);
            }
        }
    }

    /// What a command says: its talk, then its data, as both come to a terminal.
    fn run(&mut self, command: &str) -> Vec<String> {
        if command == "echo $?" {
            return vec![self.code.map_or_else(String::new, |code| code.to_string())];
        }
        let words = words(command);
        let (program, arguments) = words.split_first().expect("a command has words");
        assert_eq!(program, "wavegate", "{command}");
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        match arguments[0] {
            "plan" | "validate" => self.found.plans += 1,
            "run" | "quickstart" | "resume" => self.found.runs += 1,
            _ => {}
        }
        let done = self.fleet.wavegate(&arguments);
        self.code = done.code;
        let folder = format!("{}/", self.fleet.folder().display());
        let all = format!("{}{}", done.err, done.out).replace(&folder, "");
        all.lines().map(|line| line.trim_end().to_owned()).collect()
    }
}

/// Words of a command; double quotes hold some together.
fn words(command: &str) -> Vec<String> {
    let quoted = command.split('"').enumerate();
    let parts = quoted.flat_map(|(at, part)| {
        if at % 2 == 1 {
            vec![part.to_owned()]
        } else {
            part.split_whitespace().map(str::to_owned).collect()
        }
    });
    parts.collect()
}

/// Whether lines are as expected, where `…` stands for any lines.
fn matches(expected: &[String], said: &[String], same: fn(&str) -> String) -> bool {
    let Some((first, rest)) = expected.split_first() else {
        return said.is_empty();
    };
    if first.trim() == "…" {
        return (0..=said.len()).any(|skip| matches(rest, &said[skip..], same));
    }
    said.split_first()
        .is_some_and(|(line, others)| same(first) == same(line) && matches(rest, others, same))
}

/// What a block is to show: as before from the first to the last line of what it shows between
/// two `…`. Nothing if one of these lines is not said any more.
fn renewed(expected: &[String], said: &[String]) -> Option<Vec<String>> {
    let is_elision = |line: &String| line.trim() == "…";
    if !expected.iter().any(is_elision) {
        return Some(said.to_vec());
    }
    let mut out = Vec::new();
    let mut rest = said;
    for (at, shown) in expected.split(is_elision).enumerate() {
        if at > 0 {
            out.push("…".to_owned());
        }
        let (Some(first), Some(last)) = (shown.first(), shown.last()) else {
            continue;
        };
        let from = rest.iter().position(|line| line == first)?;
        let to = from + rest[from..].iter().position(|line| line == last)?;
        out.extend_from_slice(&rest[from..=to]);
        rest = &rest[to + 1..];
    }
    Some(out)
}

/// A line without what differs from run to run: times, ids, digests, ports, counts of requests.
fn plain(line: &str) -> String {
    let word = |word: &str| {
        let bare = word.trim_end_matches([':', ',', ')', '`', ';']);
        let hex = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_hexdigit());
        let has_digit = bare.chars().any(|c| c.is_ascii_digit());
        let id = bare
            .rsplit_once('-')
            .is_some_and(|(_, end)| end.len() == 6 && hex(end));
        let number = has_digit && bare.chars().all(|c| c.is_ascii_digit() || ".:".contains(c));
        let time = number && (bare.contains(':') || bare.contains('.'));
        let duration = bare
            .strip_suffix("ms")
            .or_else(|| bare.strip_suffix('s'))
            .is_some_and(|n| n.contains('.') && n.parse::<f64>().is_ok());
        let address = bare.starts_with("http://127.0.0.1") || bare.starts_with("127.0.0.1:");
        if id || time || duration || address || (bare.len() == 12 && hex(bare) && has_digit) {
            "*".to_owned()
        } else {
            word.to_owned()
        }
    };
    line.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

#[test]
fn every_example_of_the_policy_guide_is_carried_out() {
    let text = std::fs::read_to_string(guide()).expect("the guide is there");
    let chapters = chapters(&text);
    let waiting: Mutex<VecDeque<&Chapter>> = Mutex::new(chapters.iter().collect());
    let next = || {
        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.pop_front()
    };
    let mut all = Findings::default();
    std::thread::scope(|scope| {
        let work = || {
            let mut found = Vec::new();
            while let Some(chapter) = next() {
                if chapter.blocks.is_empty() {
                    continue;
                }
                let story = Story {
                    chapter,
                    fleet: Fleet::quickstart(),
                    code: None,
                    found: Findings::default(),
                };
                found.push(story.tell());
            }
            found
        };
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            for found in worker.join().expect("a chapter does not panic") {
                all.wrong.extend(found.wrong);
                all.rewrites.extend(found.rewrites);
                all.runs += found.runs;
                all.plans += found.plans;
            }
        }
    });
    rewrite(&text, all.rewrites);
    assert!(all.wrong.is_empty(), "{}", all.wrong.join("\n\n"));
    assert!(all.plans >= 12, "only {} plans", all.plans);
    assert!(all.runs >= 5, "only {} runs", all.runs);
}

fn rewrite(text: &str, mut rewrites: Rewrites) {
    if rewrites.is_empty() {
        return;
    }
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    // From the end, so that the numbers of what comes before stay true.
    rewrites.sort();
    for (from, to, said) in rewrites.into_iter().rev() {
        lines.splice(from..to, said);
    }
    std::fs::write(guide(), lines.join("\n") + "\n").expect("the guide can be written");
}

#[test]
fn an_elision_stands_for_any_lines_and_nothing_else_does() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let said = lines("00:31:47.225 one\ntwo\nthree");
    assert!(matches(&lines("00:00:00.000 one\n…"), &said, plain));
    assert!(matches(&lines("…\nthree"), &said, plain));
    assert!(matches(&lines("…\ntwo\n…"), &said, plain));
    assert!(!matches(&lines("…\ntwo"), &said, plain));
    assert!(!matches(&lines("…\nfour\n…"), &said, plain));
    assert_eq!(
        plain("resume shop-2-fdd334: taken"),
        plain("resume shop-2-0a1b2c: taken")
    );
    assert_ne!(plain("2 sites failed"), plain("3 sites failed"));
}
