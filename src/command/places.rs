//! Registries that only their names are known of: where they are, and with which credentials they are asked.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use crate::{
    oci::Host,
    upstream::{self, Location, Proxy, RegistryConfig},
};

/// A registry that only its name is known of, asked as Docker's tools would.
pub(super) fn registry(host: &Host, plain_http: bool) -> Result<upstream::Config, String> {
    let at = if host.is_docker_hub() { "registry-1.docker.io" } else { host.as_str() };
    let plain_http = plain_http || is_loopback(host);
    let scheme = if plain_http { "http" } else { "https" };
    let url = url::Url::parse(&format!("{scheme}://{at}")).map_err(|error| format!("{host}: {error}"))?;
    let location = Location::Registry(RegistryConfig {
        url,
        docker_configs: own_credentials(),
        ca: None,
        plain_http,
        auth_hosts: Vec::new(),
        allow_hosts: Vec::new(),
        proxy: Some(Proxy::of_environment()),
    });
    Ok(upstream::Config { host: host.clone(), location })
}

/// A gate's upstream, asked with the credentials of whoever runs the command where those of the gate cannot be read here.
pub(super) fn with_own_credentials(upstream: upstream::Config) -> upstream::Config {
    let location = match upstream.location {
        Location::Registry(registry) if registry.docker_configs.iter().any(|file| std::fs::File::open(file).is_err()) => {
            Location::Registry(RegistryConfig { docker_configs: own_credentials(), ..registry })
        }
        other => other,
    };
    upstream::Config { location, ..upstream }
}

/// Whether a registry is on this very machine, where TLS would protect nothing: Docker, crane and cosign ask it over http, too.
fn is_loopback(host: &Host) -> bool {
    let text = host.as_str();
    let without_port = text.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')).map_or(text, |(name, _)| name);
    upstream::is_this_machine(without_port)
}

/// The files with the credentials of whoever runs the command.
fn own_credentials() -> Vec<PathBuf> {
    // Where `podman login` leaves them for a user without `$XDG_RUNTIME_DIR`, as in a container.
    let podman_run = format!("/run/containers/{}/auth.json", rustix::process::getuid().as_raw());
    docker_configs(|name| std::env::var_os(name), Path::new(&podman_run))
}

/// The files in which `docker login` and `podman login` leave credentials, as far as there are any. A registry's are in the first
/// that has some for it. Those that a variable names were said on purpose, so nothing else stands in for them.
fn docker_configs(environment: impl Fn(&str) -> Option<OsString>, podman_run: &Path) -> Vec<PathBuf> {
    let variable = |name: &str| environment(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let named = [variable("DOCKER_CONFIG").map(|directory| directory.join("config.json")), variable("REGISTRY_AUTH_FILE")];
    let home = variable("HOME");
    let usual = [
        home.as_ref().map(|home| home.join(".docker/config.json")),
        Some(variable("XDG_RUNTIME_DIR").map_or_else(|| podman_run.to_owned(), |run| run.join("containers/auth.json"))),
        variable("XDG_CONFIG_HOME").or(home.map(|home| home.join(".config"))).map(|config| config.join("containers/auth.json")),
    ];
    let files: Vec<PathBuf> = if named.iter().any(Option::is_some) {
        named.into_iter().flatten().collect()
    } else {
        usual.into_iter().flatten().collect()
    };
    // One that `touch` made, or an empty secret, is none to Docker.
    let says = |file: &PathBuf| std::fs::read(file).map_or(true, |text| !text.trim_ascii().is_empty());
    files.into_iter().filter(|file| file.is_file() && says(file)).collect()
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

    #[test]
    fn credentials_of_a_gate_that_cannot_be_read_here_are_those_of_who_asks() {
        let folder = tempfile::tempdir().unwrap();
        let (there, gone) = (folder.path().join("config.json"), folder.path().join("none.json"));
        std::fs::write(&there, "{}").unwrap();
        for (file, kept) in [(&there, true), (&gone, false)] {
            let mut upstream = registry(&"ghcr.io".parse().unwrap(), false).unwrap();
            let Location::Registry(config) = &mut upstream.location else { panic!() };
            config.docker_configs = vec![file.clone()];
            let Location::Registry(config) = with_own_credentials(upstream).location else { panic!() };
            assert_eq!(config.docker_configs == [file.clone()], kept, "{file:?}");
        }
    }

    #[test]
    fn credentials_are_where_docker_and_podman_leave_them_unless_a_variable_says_where() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["home/.docker", "home/.config/containers", "run/containers", "config/containers", "docker"] {
            std::fs::create_dir_all(at(name)).unwrap();
        }
        let (docker, podman) = (at("home/.docker/config.json"), at("home/.config/containers/auth.json"));
        let (run, config) = (at("run/containers/auth.json"), at("config/containers/auth.json"));
        let (named, file, rootful) = (at("docker/config.json"), at("auth.json"), at("rootful.json"));
        let found = |variables: &[(&str, PathBuf)]| {
            let variable = |wanted: &str| variables.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.into());
            docker_configs(variable, &rootful)
        };
        let home = ("HOME", at("home"));
        assert_eq!(found(&[]), Vec::<PathBuf>::new());
        assert_eq!(found(std::slice::from_ref(&home)), Vec::<PathBuf>::new());
        for file in [&docker, &podman, &run, &config, &named, &file, &rootful] {
            std::fs::write(file, "{}").unwrap();
        }
        let (docker_variable, file_variable) = (("DOCKER_CONFIG", at("docker")), ("REGISTRY_AUTH_FILE", file.clone()));
        let usual =
            [home.clone(), ("XDG_RUNTIME_DIR", at("run")), ("XDG_CONFIG_HOME", at("config")), ("DOCKER_CONFIG", "".into())];
        assert_eq!(found(&[]), std::slice::from_ref(&rootful));
        assert_eq!(found(std::slice::from_ref(&home)), [docker.clone(), rootful.clone(), podman.clone()]);
        assert_eq!(found(&usual), [docker.clone(), run, config]);
        assert_eq!(found(&[home.clone(), file_variable.clone()]), std::slice::from_ref(&file));
        assert_eq!(found(&[home.clone(), docker_variable.clone()]), std::slice::from_ref(&named));
        assert_eq!(found(&[home.clone(), file_variable, docker_variable]), [named, file]);
        assert_eq!(found(&[home.clone(), ("REGISTRY_AUTH_FILE", at("nowhere"))]), Vec::<PathBuf>::new());
        for empty in ["", " \r\n"] {
            std::fs::write(&podman, empty).unwrap();
            assert_eq!(found(std::slice::from_ref(&home)), [docker.clone(), rootful.clone()], "Docker takes it for none");
        }
    }
}
