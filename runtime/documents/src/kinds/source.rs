//! `Source`: where evidence comes from, and who may use it.

use crate::defaults;
use crate::diagnostic::{Code, Diagnostic, quoted};
use crate::fields::{Cx, Fields, Spot, list, not_built};
use crate::node::{Node, Value};
use crate::shapes::source as shapes;
use crate::values;
use std::collections::BTreeMap;
use wavegate_model::source::{
    Auth, Endpoint, Grant, HttpSource, PrometheusSource, SecretRef, SourceKind, Tls,
};
use wavegate_model::{Digest, PolicyName, SourceName, SourceSpec};

#[derive(Debug)]
pub(crate) struct SourceDoc {
    pub(crate) name: Spot<String>,
    pub(crate) spec: SourceSpec,
}

type Grants = (Grant<PolicyName>, Grant<Digest>);

impl SourceDoc {
    pub(super) fn read(cx: Cx<'_>, name: Option<Spot<String>>, spec: &Node) -> Option<Self> {
        let mut fields = Fields::open(cx, spec, &shapes::SOURCE)?;
        let probe = fields.optional("probe", probe);
        let prometheus = fields.optional("prometheus", prometheus);
        let http = fields.optional("http", http);
        let grants = fields.optional("grants", grants);
        let place = fields.place();
        let finished = fields.finish();
        let kinds: Vec<SourceKind> = [probe?, prometheus?, http?].into_iter().flatten().collect();
        let (grants, name) = (grants?, name?);
        finished?;
        let Ok([kind]) = <[SourceKind; 1]>::try_from(kinds) else {
            let message = "a source is of exactly one kind: `probe`, `prometheus` or `http`";
            return cx.fail(Diagnostic::error(Code::BadValue, message).at(place, "in this source"));
        };
        // What a driver sees of its own nodes is no secret. A server with credentials is.
        let (policies, plugins) = match (grants, &kind) {
            (Some(grants), _) => grants,
            (None, SourceKind::Probe) => (Grant::Any, Grant::Any),
            (None, SourceKind::Prometheus(_) | SourceKind::Http(_)) => {
                let problem = Diagnostic::error(
                    Code::MissingField,
                    "this source does not say who may use it",
                );
                let hint = "add `grants: {policies: [..]}`, or `grants: {policies: any}`";
                return cx.fail(problem.at(place, "`grants` is missing here").hint(hint));
            }
        };
        let source = SourceName::new(name.value.as_str());
        Some(Self {
            name,
            spec: SourceSpec {
                name: source,
                kind,
                policies,
                plugins,
            },
        })
    }
}

fn grants(cx: Cx<'_>, node: &Node) -> Option<Grants> {
    let mut fields = Fields::open(cx, node, &shapes::GRANTS)?;
    let policies = fields.or("policies", Grant::Any, |cx, node| {
        grant(cx, node, |cx, node| {
            Some(PolicyName::new(values::document_name(cx, node)?))
        })
    });
    let plugins = fields.or("plugins", Grant::Any, |cx, node| {
        grant(cx, node, values::digest)
    });
    fields.finish()?;
    Some((policies?, plugins?))
}

fn grant<T: Ord>(
    cx: Cx<'_>,
    node: &Node,
    read: fn(Cx<'_>, &Node) -> Option<T>,
) -> Option<Grant<T>> {
    match &node.value {
        Value::Text(text) if text == "any" => Some(Grant::Any),
        Value::List(_) => Some(Grant::Only(list(read)(cx, node)?.into_iter().collect())),
        _ => cx.wrong_type(node, "a list or `any`", None),
    }
}

fn probe(cx: Cx<'_>, node: &Node) -> Option<SourceKind> {
    Fields::open(cx, node, &shapes::PROBE)?.finish()?;
    Some(SourceKind::Probe)
}

fn prometheus(cx: Cx<'_>, node: &Node) -> Option<SourceKind> {
    let mut fields = Fields::open(cx, node, &shapes::PROMETHEUS)?;
    let endpoint = endpoint(cx, &mut fields);
    let labels = fields.or("labels", BTreeMap::new(), fixed_labels);
    let range_max = fields.or(
        "maxRange",
        defaults::SOURCE_RANGE_MAX,
        values::duration_above_zero,
    );
    let series_max = fields.or(
        "maxSeries",
        defaults::SOURCE_SERIES_MAX,
        values::whole(1, 100_000),
    );
    fields.finish()?;
    Some(SourceKind::Prometheus(PrometheusSource {
        endpoint: endpoint?,
        labels: labels?,
        range_max: range_max?,
        series_max: series_max?,
    }))
}

/// Every selector gets them, so they are labels as Prometheus has them.
fn fixed_labels(cx: Cx<'_>, node: &Node) -> Option<BTreeMap<String, String>> {
    let labels = values::labels(cx, node)?;
    let begins = |c: char| c.is_ascii_alphabetic() || c == '_';
    let fits = |name: &str| {
        name.starts_with(begins)
            && name.chars().all(|c| begins(c) || c.is_ascii_digit())
            && name != "__name__"
    };
    match labels.keys().find(|name| !fits(name)) {
        None => Some(labels),
        Some(name) => {
            let message = format!("{} cannot be fixed as a label of Prometheus", quoted(name));
            let hint = "such a label has letters, digits and `_`, and does not begin with a digit";
            cx.bad_value(node, message, Some(hint.into()))
        }
    }
}

fn http(cx: Cx<'_>, node: &Node) -> Option<SourceKind> {
    let mut fields = Fields::open(cx, node, &shapes::HTTP)?;
    let endpoint = endpoint(cx, &mut fields);
    let paths = fields.required("paths", list(path));
    let body_bytes_max = fields.or("maxBody", defaults::SOURCE_BODY_BYTES_MAX, body_bytes);
    fields.finish()?;
    Some(SourceKind::Http(HttpSource {
        endpoint: endpoint?,
        paths: paths?,
        body_bytes_max: body_bytes_max?,
    }))
}

fn body_bytes(cx: Cx<'_>, node: &Node) -> Option<u64> {
    let bytes = values::bytes(cx, node)?;
    if bytes == 0 {
        return cx.bad_value(node, "no answer would fit into 0 bytes", None);
    }
    Some(bytes)
}

fn path(cx: Cx<'_>, node: &Node) -> Option<String> {
    let path = values::text(cx, node)?;
    if !path.starts_with('/') {
        return cx.bad_value(
            node,
            format!("{} does not begin with `/`", quoted(&path)),
            None,
        );
    }
    if path.trim_end_matches('*').contains('*') || path.ends_with("**") {
        return cx.bad_value(node, "a `*` may only stand at the end of a path", None);
    }
    Some(path)
}

fn endpoint(cx: Cx<'_>, fields: &mut Fields<'_, '_>) -> Option<Endpoint> {
    let address = fields.required("address", address);
    let timeout = fields.or(
        "timeout",
        defaults::SOURCE_TIMEOUT,
        values::duration_above_zero,
    );
    let auth = fields.or("auth", Auth::None, auth);
    let place = fields.place();
    let tls = fields.optional("tls", tls);
    let (address, tls) = (address?, tls?);
    if tls.is_some() && address.starts_with("http://") {
        let message = "`tls` has no effect on an address that begins with `http://`";
        let problem = Diagnostic::error(Code::BadValue, message).at(place, "in this source");
        return cx.fail(problem.hint("write `https://`, or leave `tls` out"));
    }
    Some(Endpoint {
        address,
        timeout: timeout?,
        auth: auth?,
        tls,
    })
}

fn address(cx: Cx<'_>, node: &Node) -> Option<String> {
    let address = values::text(cx, node)?;
    if address.contains('@') {
        cx.source.hide(node.range());
        let hint = Some("say it with `auth`, which names a file or an environment variable".into());
        return cx.bad_value(node, "an address holds no credentials", hint);
    }
    let rest = address
        .strip_prefix("http://")
        .or_else(|| address.strip_prefix("https://"));
    let Some(rest) = rest else {
        let message = format!(
            "{} does not begin with `http://` or `https://`",
            quoted(&address)
        );
        return cx.bad_value(node, message, None);
    };
    let host = rest.split('/').next().unwrap_or_default();
    if host.is_empty() {
        return cx.bad_value(node, format!("{} has no host", quoted(&address)), None);
    }
    // A colon inside brackets belongs to an IP address.
    let after = host.rsplit(']').next().unwrap_or_default();
    if let Some((_, port)) = after.split_once(':')
        && port.parse::<u16>().is_err()
    {
        return cx.bad_value(node, format!("{} is not a port", quoted(port)), None);
    }
    if address.contains(['?', '#', ' ']) {
        return cx.bad_value(
            node,
            "an address ends with its path, without query and fragment",
            None,
        );
    }
    Some(address)
}

fn auth(cx: Cx<'_>, node: &Node) -> Option<Auth> {
    let mut fields = Fields::open(cx, node, &shapes::AUTH)?;
    let bearer = fields.optional("bearer", secret);
    let basic = fields.optional("basic", basic);
    fields.finish()?;
    match (bearer?, basic?) {
        (Some(token), None) => Some(Auth::Bearer(token)),
        (None, Some(basic)) => Some(basic),
        _ => cx.bad_value(node, "`auth` has exactly one of `bearer` and `basic`", None),
    }
}

fn basic(cx: Cx<'_>, node: &Node) -> Option<Auth> {
    let mut fields = Fields::open(cx, node, &shapes::BASIC)?;
    let username = fields.required("username", values::text);
    let password = fields.required("password", secret);
    fields.finish()?;
    Some(Auth::Basic {
        username: username?,
        password: password?,
    })
}

fn secret(cx: Cx<'_>, node: &Node) -> Option<SecretRef> {
    if let Value::Text(_) = node.value {
        // The text may be the secret itself.
        cx.source.hide(node.range());
        let hint = "name where it is: `{env: NAME}` or `{file: path}`; and change the secret, it was in a file";
        return cx.bad_value(
            node,
            "a secret is not written into a document",
            Some(hint.into()),
        );
    }
    let mut fields = Fields::open(cx, node, &shapes::SECRET)?;
    let env = fields.optional("env", values::text);
    let file = fields.optional("file", values::text);
    fields.finish()?;
    match (env?, file?) {
        (Some(env), None) => Some(SecretRef::Env(env)),
        (None, Some(file)) => Some(SecretRef::File(file)),
        _ => cx.bad_value(node, "a secret has exactly one of `env` and `file`", None),
    }
}

fn tls(cx: Cx<'_>, node: &Node) -> Option<Tls> {
    let mut fields = Fields::open(cx, node, &shapes::TLS)?;
    let ca = fields.optional("ca", values::text);
    let certificate = fields.optional("certificate", values::text);
    let key = fields.optional("key", values::text);
    let refused = fields.entry("insecureSkipVerify");
    fields.finish()?;
    if let Some((key, _)) = refused {
        cx.problems
            .push(not_built("going without verification", cx.place(key)));
        return None;
    }
    let identity = match (certificate?, key?) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => return cx.bad_value(node, "`certificate` and `key` go together", None),
    };
    Some(Tls { ca: ca?, identity })
}
