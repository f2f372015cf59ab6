//! `crds/*.yaml` is what `understudy crds` prints. Refresh with `UPDATE=1 cargo test --test crds_are_current`.

use std::path::{Path, PathBuf};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use understudy::{api::crd::crds, cli::crds::yaml};

fn file(crd: &CustomResourceDefinition) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("crds").join(format!("{}.yaml", crd.spec.names.plural))
}

#[test]
fn the_committed_definitions_are_what_the_program_prints() {
    for crd in crds() {
        let (path, printed) = (file(&crd), yaml(&crd).unwrap());
        if std::env::var_os("UPDATE").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &printed).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == printed,
            "{} is not current: run `UPDATE=1 cargo test --test crds_are_current` and commit the change",
            path.display()
        );
    }
}

#[test]
fn the_text_reads_back_as_the_same_definition() {
    for crd in crds() {
        let text = yaml(&crd).unwrap();
        let read: CustomResourceDefinition = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(read, crd);
        assert!(!text.contains(": &") && !text.contains(": *"), "anchors in {}", crd.spec.names.kind);
    }
}
