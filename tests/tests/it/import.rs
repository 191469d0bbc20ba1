//! What a real Prometheus recorded becomes cases of a gate, which `plugin test` plays.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};
use wavegate_tests::fleet::{Done, Fleet, ports};
use wavegate_tests::prometheus::Prometheus;

/// Three minutes of good requests, then three of bad ones.
const MINUTES: u64 = 3;

const GATE: &str = "
    - name: errors
      plugin: {shipped: threshold}
      config: {name: errors, query: 'shop_errors{cluster=\"{{cluster}}\"}', perCluster: true, max: 0.01, unit: ratio}
      phases: [afterBatch]
      interval: 10s
      slots: {metrics: shop}
";

fn source(port: u16) -> String {
    format!(
        "apiVersion: wavegate.dev/v1alpha1\nkind: Source\nmetadata: {{name: shop}}\nspec:\n  \
         prometheus: {{address: \"http://127.0.0.1:{port}\", labels: {{team: shop}}}}\n  \
         grants: {{policies: [careful], plugins: any}}\n"
    )
}

/// A server that remembers what was an hour ago. Its series are of this team and of another.
fn remembers(folder: &Path, port: u16, start: u64) -> Prometheus {
    std::fs::create_dir(folder).expect("it is new");
    std::fs::write(folder.join("prometheus.yml"), "global: {}\n").expect("it can be written");
    let mut text = "# TYPE shop_errors gauge\n".to_owned();
    for (team, good, bad) in [("shop", 0.001, 0.2), ("others", 0.9, 0.9)] {
        for step in 0..=MINUTES * 2 * 4 {
            let value = if step < MINUTES * 4 { good } else { bad };
            let at = start + step * 15;
            writeln!(
                text,
                "shop_errors{{cluster=\"eu-1\",team=\"{team}\"}} {value} {at}"
            )
            .expect("a text can be written");
        }
    }
    text += "# EOF\n";
    std::fs::write(folder.join("history"), text).expect("it can be written");
    let made = Command::new("promtool")
        .current_dir(folder)
        .args([
            "tsdb",
            "create-blocks-from",
            "openmetrics",
            "history",
            "data",
        ])
        .output()
        .expect("promtool comes with Debian's package `prometheus`");
    assert!(made.status.success(), "{made:?}");
    Prometheus::start(folder, port)
}

struct Shop {
    fleet: Fleet,
    prometheus: Prometheus,
    /// Seconds since the epoch.
    start: u64,
}

impl Shop {
    fn open() -> Self {
        let fleet = Fleet::quickstart();
        let port = ports();
        let policy = fleet.read("policy.yaml");
        fleet.write("policy.yaml", &format!("{}{}", policy.trim_end(), GATE));
        fleet.write("shop.yaml", &source(port));
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let start = (now.expect("it is after 1970").as_secs() - 3600) / 60 * 60;
        let prometheus = remembers(&fleet.folder().join("prometheus"), port, start);
        Self {
            fleet,
            prometheus,
            start,
        }
    }

    /// So many minutes after the start of what is remembered.
    fn minute(&self, minute: u64) -> String {
        let at = i64::try_from(self.start + minute * 60).expect("a time of today");
        let at = jiff::Timestamp::from_second(at).expect("a time of today");
        at.to_string()
    }

    fn import(&self, gate: &str, more: &[&str]) -> Done {
        let all = ["plugin", "import", "demo", "--gate", gate];
        self.fleet.wavegate(&[&all[..], more].concat())
    }

    fn test(&self) -> Done {
        let played = [
            "plugin",
            "test",
            "threshold",
            "--no-conformance",
            "--cases",
            "cases.yaml",
        ];
        self.fleet.wavegate(&played)
    }
}

#[test]
fn what_a_prometheus_recorded_becomes_cases() {
    let mut shop = Shop::open();
    let (from, to) = (shop.minute(1), shop.minute(5));
    let window = ["--from", &from, "--to", &to, "--every", "2m"];
    let out = [&window[..], &["--out", "cases.yaml", "--format", "json"]].concat();
    let told = shop.import("errors", &out).expect(0).json().remove(0);
    assert_eq!(
        (&told["cases"], &told["answers"]),
        (&3.into(), &3.into()),
        "{told}"
    );
    let file = shop.fleet.folder().join("cases.yaml");
    let text = std::fs::read_to_string(&file).expect("it was written");
    assert!(text.contains("# it says: pass"), "{text}");
    assert!(text.contains("# it says: fail"), "{text}");
    assert!(
        !text.contains("others"),
        "the owner's labels hold for the past, too: {text}"
    );

    // Nobody has said yet what should have come of it.
    let bare = shop.test().expect(20);
    assert!(bare.out.contains("verdict"), "{}", bare.out);
    let filled = |verdicts: [&str; 3]| {
        let mut filled = text.clone();
        for verdict in verdicts {
            filled = filled.replacen("expect: {}", &format!("expect: {{verdict: {verdict}}}"), 1);
        }
        std::fs::write(&file, filled).expect("it can be written");
    };
    filled(["pass", "fail", "fail"]);
    shop.test().expect(0);
    filled(["pass", "pass", "fail"]);
    shop.test().expect(20);

    // What somebody filled in is kept, and nothing is fetched for a file that cannot be written.
    let kept = std::fs::read_to_string(&file).expect("it is there");
    let again = shop.import("errors", &out).expect(2);
    assert!(again.err.contains("it is there already"), "{}", again.err);
    assert_eq!(std::fs::read_to_string(&file).expect("it is there"), kept);
    let nowhere = [&window[..], &["--out", "nodir/cases.yaml"]].concat();
    let nowhere = shop.import("errors", &nowhere).expect(2);
    assert!(nowhere.err.contains("cannot write it"), "{}", nowhere.err);
    shop.import("errors", &[&out[..], &["--force"]].concat())
        .expect(0);
    assert_eq!(std::fs::read_to_string(&file).expect("it is there"), text);

    // The cases need no server; an import does.
    shop.prometheus.kill();
    filled(["pass", "fail", "fail"]);
    shop.test().expect(0);
    let silent = shop.import("errors", &window).expect(30);
    assert!(silent.err.contains("nothing was written"), "{}", silent.err);
}

#[test]
fn an_import_that_makes_no_sense_is_refused() {
    let shop = Shop::open();
    let (early, late) = (shop.minute(0), shop.minute(5));
    let from = ["--from", early.as_str()];
    for (gate, more, says) in [
        ("success", &from[..], "only a Prometheus can tell what was"),
        ("unheard", &from, "it has: errors, latency, success"),
        (
            "errors",
            &["--from", "yesterday"],
            "as in 2026-01-31T12:00:00Z",
        ),
        (
            "errors",
            &["--from", &late, "--to", &early],
            "--to is before --from",
        ),
        (
            "errors",
            &["--from", &early, "--to", &late, "--every", "1ms"],
            "more than 1440",
        ),
        (
            "errors",
            &["--from", &early, "--every", "0s"],
            "longer than 0",
        ),
        (
            "errors",
            &["--from", &early, "--site", "moon"],
            "no site `moon`",
        ),
        (
            "errors",
            &["--from", &early, "--baseline", "shop-9"],
            "no release `shop-9`",
        ),
    ] {
        let told = shop.import(gate, more).expect(2).err;
        assert!(told.contains(says), "{gate} {more:?}: {told}");
    }
}
