//! Defaults, and the files that are shipped.

use super::*;

/// `config/pullgate.yaml` with every commented setting uncommented: a `#` before anything but one space.
fn uncommented(text: &str) -> String {
    let setting = |line: &str| {
        let body = line.trim_start();
        match body.strip_prefix('#') {
            Some(rest) if rest.starts_with("  ") || !rest.starts_with(' ') => {
                format!("{}{rest}", &line[..line.len() - body.len()])
            }
            Some(_) | None => line.to_owned(),
        }
    };
    text.lines().map(setting).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_small_file_has_the_documented_defaults() {
    let directory = directory(SMALL);
    let Reading { config, sources, .. } = Config::read(&directory.path().join("pullgate.yaml"));
    let config = config.unwrap();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:5050");
    assert_eq!(config.server.admin.to_string(), "127.0.0.1:5051");
    assert!(config.server.tls.is_none());
    assert_eq!(config.store.path, Path::new("/var/lib/pullgate"));
    assert_eq!(config.store.max_size, 50 << 30);
    assert_eq!(roots(&config), [("default", &TrustRootSource::Sigstore, Relaxed::default())]);
    assert_eq!(config.registry.tag_ttl, Duration::from_secs(30));
    assert_eq!(config.registry.max_stale, Some(Duration::from_secs(86_400)));
    assert_eq!(config.gate.max_stale, config.registry.max_stale);
    assert_eq!((config.gate.verdict_ttl, config.gate.refusal_ttl), (Duration::from_secs(3600), Duration::from_secs(10)));
    assert_eq!((config.server.limits.connections, config.server.limits.requests), (20_000, 4096));
    assert!(config.gate.deadline < config.server.limits.response_timeout);
    assert_eq!(config.server.limits.response_timeout, Duration::from_secs(25));
    assert_eq!((config.gate.verdicts, config.gate.manifest_bytes), (200_000, 64 << 20));
    assert_eq!(config.policies.unmatched(), Unmatched::Deny);
    assert_eq!(config.default_upstream, None);
    assert!(config.weaknesses.is_empty() && config.notices.is_empty(), "{:?} {:?}", config.weaknesses, config.notices);
    let names: Vec<_> = sources.files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["pullgate.yaml", "acme.yaml"]);
    assert!(sources.directories[0].ends_with("policies"));
}

#[test]
fn the_shipped_file_names_every_key_with_its_true_default() {
    let shipped = fs::read_to_string("config/pullgate.yaml").unwrap();
    let full = uncommented(&shipped);
    let directory = tempfile::tempdir().unwrap();
    for name in ["policies", "deny", "tls", "secrets", "layout"] {
        fs::create_dir(directory.path().join(name)).unwrap();
    }
    for name in ["strict.yaml", "audit.yaml", "change.yaml", "content.yaml"] {
        fs::copy(format!("config/policies/{name}"), directory.path().join("policies").join(name)).unwrap();
    }
    fs::copy("config/deny/incidents.yaml", directory.path().join("deny/incidents.yaml")).unwrap();
    for name in ["secrets/config.json", "tls/registry-ca.pem", "tls/server.pem", "tls/server.key", "tls/client-ca.pem"] {
        fs::write(directory.path().join(name), "x").unwrap();
    }
    let read = |text: &str| {
        fs::write(directory.path().join("pullgate.yaml"), text).unwrap();
        Config::load(&directory.path().join("pullgate.yaml")).unwrap_or_else(|problems| panic!("{problems}"))
    };
    let (mut plain, full) = (read(&shipped), read(&full));
    // The one default that is this machine's.
    plain.gate.verify_threads = 4;
    let told = |config: &Config| {
        format!(
            "{:?} {:?} {:?} {:?} {:?} {:?} {:?}",
            (config.server.listen, config.server.admin),
            config.server.limits,
            config.gate,
            config.registry,
            config.store,
            config.trust_roots,
            config.policies.unmatched()
        )
    };
    assert_eq!(told(&plain), told(&full));
    assert_eq!((plain.policies.deny().len(), full.policies.deny().len()), (0, 4));
    assert!(full.server.tls.is_some() && full.default_upstream.is_some() && full.upstreams.len() == 4);
    // Every key of every mapping stands there.
    let text = uncommented(&shipped);
    for key in schema::KEYS
        .iter()
        .chain(limits::KEYS)
        .chain(limits::EVIDENCE)
        .chain(upstreams::KEYS)
        .chain(trust_roots::KEYS)
        .chain(["cert", "key", "client_ca", "path", "max_size"].iter())
    {
        assert!(text.contains(&format!("{key}:")), "config/pullgate.yaml does not show `{key}`");
    }
}

#[test]
fn the_quickstart_file_loads_as_it_is() {
    let config = Config::load(Path::new("config/quickstart.yaml")).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(config.weaknesses.is_empty() && config.notices.is_empty(), "{:?} {:?}", config.weaknesses, config.notices);
    assert!(matches!(&config.upstreams[..], [upstream::Config { location: Location::Layout(_), .. }]));
}
