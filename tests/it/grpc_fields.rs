//! The messages of gRPC beside the JSON of the HTTP API: a field that one has and the other lacks fails the test.

use prost::Message;
use prost_types::{DescriptorProto, FileDescriptorProto, FileDescriptorSet};
use serde_json::Value;
use std::collections::BTreeSet;
use tests::TestApp;

/// Names of fields, and of the same fields in the HTTP API.
type Names = &'static [(&'static str, &'static str)];

/// A message, the schema of the same thing, and the fields that have another name or form there.
struct Pair {
    message: &'static str,
    schema: &'static str,
    other_names: Names,
}

/// The JSON of a video stands among the fields of the object around it, a message has a field for it.
const IN_PLACE: &str = "";

const PAGE: (&str, &str) = ("next_page_token", "next_cursor");

const PAIRS: [Pair; 15] = [
    pair("Video", "LibraryVideo", &[]),
    pair("Freshness", "FreshnessView", &[]),
    pair("ListVideosResponse", "LibraryList", &[("videos", "data"), PAGE]),
    pair("SearchVideosResponse", "SearchResult", &[("hits", "data"), PAGE]),
    pair("Hit", "SearchHit", &[("video", IN_PLACE)]),
    pair("Correction", "Corrected", &[]),
    pair("Facet", "FacetView", &[]),
    pair("FacetCount", "FacetCount", &[]),
    pair("GetVideoResponse", "LibraryShow", &[("video", IN_PLACE)]),
    pair("Output", "LibraryOutput", &[]),
    pair("Import", "ImportView", &[]),
    pair("RowCounts", "RowCounts", &[]),
    pair("ImportError", "ImportError", &[]),
    pair("LookupCounts", "ImportLookupCounts", &[]),
    // A pair of numbers in JSON.
    pair("Range", "", &[("start", IN_PLACE), ("end", IN_PLACE)]),
];

const fn pair(message: &'static str, schema: &'static str, other_names: Names) -> Pair {
    Pair {
        message,
        schema,
        other_names,
    }
}

/// A request, the path of the same operation, and the fields whose parameter has another name.
const REQUESTS: [(&str, &str, Names); 2] = [
    ("ListVideosRequest", "/api/library", &[]),
    ("SearchVideosRequest", "/api/library/search", &[("query", "q")]),
];

const PARAMETERS: [(&str, &str); 6] = [
    ("page_size", "max"),
    ("page_token", "cursor"),
    ("tags", "tag"),
    ("min_duration_ms", "min_duration_s"),
    ("max_duration_ms", "max_duration_s"),
    // The HTTP API has the path `/api/videos` for them.
    ("own", IN_PLACE),
];

/// The files of the package as one.
fn proto() -> FileDescriptorProto {
    let set = FileDescriptorSet::decode(grpc::v1::DESCRIPTORS).unwrap();
    let files = set.file.into_iter().filter(|file| file.package() == "rushes.v1");
    let join = |mut all: FileDescriptorProto, file: FileDescriptorProto| {
        all.message_type.extend(file.message_type);
        all.enum_type.extend(file.enum_type);
        all
    };
    files.reduce(join).unwrap()
}

fn message<'a>(proto: &'a FileDescriptorProto, name: &str) -> &'a DescriptorProto {
    proto
        .message_type
        .iter()
        .find(|message| message.name() == name)
        .unwrap()
}

/// The names of the fields of a message, with those of JSON where they differ.
fn fields(message: &DescriptorProto, other_names: &[(&str, &str)]) -> BTreeSet<String> {
    let names = message.field.iter().map(|field| {
        let other = other_names.iter().find(|(name, _)| *name == field.name());
        other.map_or(field.name(), |(_, other)| other).to_owned()
    });
    names.filter(|name| name != IN_PLACE).collect()
}

/// The properties of a schema without those of the schemas that it includes.
fn properties(document: &Value, schema: &str) -> BTreeSet<String> {
    let schema = &document["components"]["schemas"][schema];
    let parts = schema["allOf"]
        .as_array()
        .cloned()
        .unwrap_or_else(|| vec![schema.clone()]);
    let objects = parts.iter().filter_map(|part| part["properties"].as_object());
    objects.flat_map(|object| object.keys().cloned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_of_one_api_is_a_field_of_the_other() {
    let app = TestApp::idle().await;
    let document = app.anonymous().get("/api/openapi.json").await.body;
    let proto = proto();
    let mut known =
        BTreeSet::from(["Filter", "GetVideoRequest", "GetImportRequest", "WatchImportRequest"].map(str::to_owned));
    for pair in PAIRS {
        let fields = fields(message(&proto, pair.message), pair.other_names);
        assert_eq!(
            fields,
            properties(&document, pair.schema),
            "{} and {}",
            pair.message,
            pair.schema
        );
        known.insert(pair.message.to_owned());
    }
    for (request, path, other_names) in REQUESTS {
        let names = [&PARAMETERS[..], other_names].concat();
        let mut fields = fields(message(&proto, request), &names);
        assert!(fields.remove("filter"), "{request}");
        fields.extend(self::fields(message(&proto, "Filter"), &names));
        let parameters = document["paths"][path]["get"]["parameters"].as_array().unwrap();
        let parameters = parameters
            .iter()
            .map(|parameter| parameter["name"].as_str().unwrap().to_owned());
        assert_eq!(fields, parameters.collect::<BTreeSet<_>>(), "{request} and {path}");
        known.insert(request.to_owned());
    }
    let all: BTreeSet<String> = proto
        .message_type
        .iter()
        .map(|message| message.name().to_owned())
        .collect();
    assert_eq!(all, known, "a message is compared with nothing");
    for (name, schema) in [("Visibility", "Visibility"), ("Sort", "Sort")] {
        let values = &proto.enum_type.iter().find(|known| known.name() == name).unwrap().value;
        let prefix = format!("{}_", name.to_uppercase());
        let values = values
            .iter()
            .map(|value| value.name().strip_prefix(&prefix).unwrap().to_lowercase());
        let words = document["components"]["schemas"][schema]["enum"].as_array().unwrap();
        let words = words.iter().map(|word| word.as_str().unwrap().to_owned());
        let values: BTreeSet<String> = values.filter(|value| value != "unspecified").collect();
        assert_eq!(values, words.collect(), "{name}");
    }
}
