//! The methods that the server offers, for limits and for the labels of metrics.

/// A method of a service.
pub(crate) struct Method {
    /// Service and method, as in the path of a call.
    pub(crate) name: &'static str,
    /// The response is a stream of messages, which has no end of its own.
    pub(crate) is_stream: bool,
}

const fn unary(name: &'static str) -> Method {
    Method { name, is_stream: false }
}

const fn stream(name: &'static str) -> Method {
    Method { name, is_stream: true }
}

/// All methods.
pub(crate) const METHODS: &[Method] = &[
    unary("rushes.v1.LibraryService/ListVideos"),
    unary("rushes.v1.LibraryService/SearchVideos"),
    unary("rushes.v1.LibraryService/GetVideo"),
    unary("rushes.v1.ImportService/GetImport"),
    stream("rushes.v1.ImportService/WatchImport"),
    unary("grpc.health.v1.Health/Check"),
    stream("grpc.health.v1.Health/Watch"),
    stream("grpc.reflection.v1.ServerReflection/ServerReflectionInfo"),
    stream("grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"),
];

/// The method with this path; `None` if there is none.
pub(crate) fn of_path(path: &str) -> Option<&'static Method> {
    let name = path.strip_prefix('/')?;
    METHODS.iter().find(|method| method.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;
    use prost_types::FileDescriptorSet;

    #[test]
    fn the_methods_are_those_of_the_proto_files() {
        let mut described = Vec::new();
        for set in [
            crate::v1::DESCRIPTORS,
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ] {
            for file in FileDescriptorSet::decode(set).unwrap().file {
                for service in &file.service {
                    for method in &service.method {
                        let name = format!("{}.{}/{}", file.package(), service.name(), method.name());
                        described.push((name, method.server_streaming()));
                    }
                }
            }
        }
        let listed = METHODS.iter().map(|method| (method.name.to_owned(), method.is_stream));
        let mut listed: Vec<_> = listed.collect();
        described.sort();
        listed.sort();
        assert_eq!(listed, described);
    }

    #[test]
    fn only_the_whole_path_is_a_method() {
        for (path, is) in [
            ("/grpc.health.v1.Health/Check", true),
            ("grpc.health.v1.Health/Check", false),
            ("/grpc.health.v1.Health/Check/", false),
            ("/grpc.health.v1.Health", false),
            ("/", false),
        ] {
            assert_eq!(of_path(path).is_some(), is, "{path}");
        }
    }
}
