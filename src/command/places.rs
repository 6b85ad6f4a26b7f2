//! Registries that only their names are known of: where they are, and with which credentials they are asked.

use std::path::PathBuf;

use crate::{
    oci::Host,
    upstream::{self, Location, RegistryConfig},
};

/// A registry that only its name is known of, asked as Docker's tools would.
pub(super) fn registry(host: &Host, plain_http: bool) -> Result<upstream::Config, String> {
    let at = if host.is_docker_hub() { "registry-1.docker.io" } else { host.as_str() };
    let plain_http = plain_http || is_loopback(host);
    let scheme = if plain_http { "http" } else { "https" };
    let url = url::Url::parse(&format!("{scheme}://{at}")).map_err(|error| format!("{host}: {error}"))?;
    let location = Location::Registry(RegistryConfig {
        url,
        docker_config: docker_config(),
        ca: None,
        plain_http,
        auth_hosts: Vec::new(),
        allow_hosts: Vec::new(),
    });
    Ok(upstream::Config { host: host.clone(), location })
}

/// Whether a registry is on this very machine, where TLS would protect nothing: Docker, crane and cosign ask it over http.
fn is_loopback(host: &Host) -> bool {
    let text = host.as_str();
    let name = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => text.rsplit_once(':').map_or(text, |(name, _)| name),
    };
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The first there is of the files in which `docker login` and `podman login` leave credentials.
fn docker_config() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(directory) = variable("DOCKER_CONFIG") {
        // Said on purpose, so nothing else stands in for it.
        return Some(directory.join("config.json")).filter(|file| file.exists());
    }
    let home = variable("HOME");
    let files = [
        home.clone().map(|home| home.join(".docker/config.json")),
        variable("REGISTRY_AUTH_FILE"),
        variable("XDG_RUNTIME_DIR").map(|run| run.join("containers/auth.json")),
        variable("XDG_CONFIG_HOME").or(home.map(|home| home.join(".config"))).map(|config| config.join("containers/auth.json")),
    ];
    files.into_iter().flatten().find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_registries_on_this_machine_are_asked_over_http_unasked() {
        for (host, loopback) in [
            ("localhost", true),
            ("localhost:5000", true),
            ("127.0.0.1:5000", true),
            ("127.8.9.1", true),
            ("[::1]:5000", true),
            ("ghcr.io", false),
            ("10.0.0.1:5000", false),
            ("localhost.evil.test", false),
            ("127.0.0.1.evil.test", false),
            ("[::2]:5000", false),
        ] {
            assert_eq!(is_loopback(&host.parse().unwrap()), loopback, "{host}");
        }
        let Location::Registry(config) = registry(&"docker.io".parse().unwrap(), false).unwrap().location else { panic!() };
        assert_eq!(config.url.as_str(), "https://registry-1.docker.io/");
        let Location::Registry(config) = registry(&"ghcr.io".parse().unwrap(), true).unwrap().location else { panic!() };
        assert_eq!((config.url.as_str(), config.plain_http), ("http://ghcr.io/", true));
    }
}
