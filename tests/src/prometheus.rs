//! A real Prometheus (Debian's package) that a test starts, stops and starts again.

use crate::fleet::wait_for;
use rustix::process::Signal;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A server with its data in a folder that stays. It is killed when it is dropped.
#[derive(Debug)]
pub struct Prometheus {
    folder: PathBuf,
    address: SocketAddr,
    process: Option<Child>,
}

impl Prometheus {
    /// Starts it with the `prometheus.yml` of a folder, and waits until it answers.
    pub fn start(folder: &Path, port: u16) -> Self {
        let mut server = Self {
            folder: folder.to_owned(),
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            process: None,
        };
        server.start_again();
        server
    }

    /// Starts it again on the same data and the same port.
    ///
    /// # Panics
    /// If it is not installed, or ends at once.
    pub fn start_again(&mut self) {
        let log = std::fs::File::create(self.folder.join("log")).expect("the folder is there");
        let process = Command::new("prometheus")
            .current_dir(&self.folder)
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
            .arg(format!("--web.listen-address={}", self.address))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("Debian's package `prometheus` is installed; `cargo xtask test` does it");
        self.process = Some(process);
        wait_for("an answer of Prometheus", || {
            let ended = self.process.as_mut().map(Child::try_wait);
            assert!(matches!(ended, Some(Ok(None))), "it ended: {}", self.log());
            self.get("/-/ready")
                .filter(|answer| answer.contains(" 200 "))
        });
    }

    /// Waits until the sum of a query's series is this.
    pub fn wait_for_sum(&self, query: &str, sum: u32) {
        let path = format!("/api/v1/query?query=sum({query})");
        let value = format!(",\"{sum}\"]");
        wait_for(&format!("sum({query}) = {sum}"), || {
            self.get(&path).filter(|answer| answer.contains(&value))
        });
    }

    /// Ends it as a crash does.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have ended by itself; then there is nothing to kill.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// If it does not run.
    pub fn signal(&self, signal: Signal) {
        let pid = self.process.as_ref().map(Child::id);
        let pid = pid.and_then(|pid| i32::try_from(pid).ok());
        let pid = pid.and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.expect("it runs"), signal).expect("it is our child");
    }

    fn get(&self, path: &str) -> Option<String> {
        let limit = Duration::from_secs(5);
        let mut stream = TcpStream::connect_timeout(&self.address, limit).ok()?;
        stream.set_read_timeout(Some(limit)).ok()?;
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.kill();
    }
}
