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

    /// The sentence about an adapter without its file of tensors; `nil` for one that has it.
    static func problem(of directory: FilePath, within roots: FileRoots) -> String? {
        guard let names = try? roots.names(in: directory), !names.contains(AdapterConfiguration.tensorsName) else {
            return nil
        }
        let start = "\(directory): has \(AdapterConfiguration.fileName) and no \(AdapterConfiguration.tensorsName)"
        guard names.contains(pickledName) else { return "\(start). Copy or download the adapter whole." }
        return "\(start), but \(pickledName). \(conversion)"
    }

    /// The name of a file of tensors that older versions of PEFT write, and what to do about it.
    static let pickledName = "adapter_model.bin"
    static let conversion =
        "Load the adapter with PEFT (PeftModel.from_pretrained) and save it again (save_pretrained): that writes "
        + "\(AdapterConfiguration.tensorsName)."
}
