import FileAccess
import JobFiles
import SystemPackage

/// The directory of a PEFT adapter: its settings, and one file of tensors.
enum AdapterDirectory {
    /// The directory of the adapter at a path, which may also name its file of tensors.
    ///
    /// - Returns: `nil` without an adapter, and for a model that has such settings beside its weights.
    static func find(at path: FilePath, within roots: FileRoots) -> FilePath? {
        guard let kind = try? roots.kind(of: path) else { return nil }
        let directory = kind == .directory ? path : path.removingLastComponent()
        guard kind == .directory || path.lastComponent?.string == AdapterConfiguration.tensorsName,
            let names = try? roots.names(in: directory), names.contains(AdapterConfiguration.fileName),
            names.contains(AdapterConfiguration.tensorsName)
                || !names.contains(where: { $0.hasSuffix(".safetensors") })
        else { return nil }
        return directory
    }
}
