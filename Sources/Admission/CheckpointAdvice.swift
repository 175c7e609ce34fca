import FileAccess
import Glibc
import Identifiers
import NameMatching
import Safetensors
import SystemPackage

/// Explains a path that leads to no checkpoint: what the person probably meant, and what to do.
struct CheckpointAdvice {
    /// The path as it stands in the job file.
    let written: String
    /// The path, made absolute.
    let path: FilePath
    let roots: FileRoots

    /// The problem of a text that is not a path.
    var problemOfText: String? {
        guard let scheme = written.firstRange(of: "://") else { return nil }
        let rest = written[scheme.upperBound...].split(separator: "/").map(String.init)
        let isHub = rest.first.map { $0.hasSuffix("huggingface.co") } ?? false
        let id =
            isHub
            ? rest.dropFirst().prefix(2).joined(separator: "/")
            : written.hasPrefix("hf://") ? rest.joined(separator: "/") : ""
        return "\(written.excerpt) is a URL; expected a file or a directory. "
            + (id.isEmpty
                ? "Download the model first" : "Download the model first (hf download \(id) --local-dir DIRECTORY)")
            + ", and name where it is."
    }

    /// The problem of a directory that holds an adapter and no model.
    func problem(of set: SafetensorsSet) -> String? {
        guard set.layout.shards.contains(where: { $0.fileName == "adapter_model.safetensors" }) else { return nil }
        return adapterProblem
    }

    private var adapterProblem: String {
        "\(path): is an adapter (adapter_config.json), not a model; expected weights. Merge it into its model first: "
            + "model.merge_and_unload(), then model.save_pretrained()."
    }

    /// The sentences for an error; when the cause is known, they say what to do.
    func sentences(for error: SafetensorsError) -> [String] {
        switch error {
        case .file(.callFailed(_, _, .noSuchFileOrDirectory)): [missing]
        case .file(.callFailed(let file, _, .permissionDenied)):
            [
                "\(file): may not be read by the user that kfacd runs as. Change the permissions, or run kfacd as another "
                    + "user."
            ]
        case .set(_, .empty): [emptyDirectory ?? error.description]
        default: foreignFile.map { [$0] } ?? error.sentences
        }
    }

    // MARK: - Nothing is there

    private var missing: String {
        if let target = danglingTarget {
            return "\(path): is a link to \(target), which does not exist. Download or copy the file again."
        }
        let start = "\(path): No such file or directory."
        if written.hasPrefix("~") {
            return "\(start) \"~\" is not replaced by the home directory. Write the whole path."
        }
        if let mark = written.firstIndex(of: "+") {
            if let spelling { return "\(start) \(spelling)" }
            if let model = modelOfAdapter {
                return "\(path): is a model and its adapter. An adapter is applied to the job's base. Write "
                    + "\"base_model: \(model.excerpt)\", and keep this entry, or list the adapter alone."
            }
            return
                "\(start) \"\(written[mark...].excerpt)\" names an adapter in mergekit: a directory with "
                + "adapter_config.json and adapter_model.safetensors, which is not there. Correct the path; relative "
                + "paths start at the job file's directory."
        }
        if let mark = written.lastIndex(of: "@"), isHubID(String(written[..<mark])) {
            let revision = written[written.index(after: mark)...]
            return "\(start) If it is a model of the Hugging Face Hub, download it first: hf download "
                + "\(written[..<mark].excerpt) --revision \(revision.excerpt) --local-dir DIRECTORY."
        }
        let near = names(in: path.removingLastComponent()).map {
            suggestion(for: path.lastComponent?.string ?? "", among: $0)
        }
        if let near, !near.isEmpty { return start + near }
        if isHubID(written) {
            return
                "\(start) If it is a model of the Hugging Face Hub, download it first: hf download \(written.excerpt) "
                + "--local-dir \(written.excerpt)."
        }
        return "\(start) Correct the path; relative paths start at the job file's directory."
    }

    /// The model of a text that names a model and an adapter which are both there; `nil` if one is not.
    private var modelOfAdapter: String? {
        let parts = written.split(separator: "+", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, path.string.hasSuffix(written) else { return nil }
        let root = FilePath(String(path.string.dropLast(written.count)))
        let places = parts.map { root.pushing(FilePath($0)) }
        guard places.allSatisfy({ (try? roots.kind(of: $0)) == .directory }) else { return nil }
        return parts[0]
    }

    /// What is wrong with a text that names a model and an adapter as mergekit does not; `nil` for its spelling.
    private var spelling: String? {
        let parts = written.split(separator: "+", omittingEmptySubsequences: false)
        guard parts.count == 2 else {
            return
                "mergekit's spelling model+adapter has one \"+\". Merge the first adapter into its model "
                + "(model.merge_and_unload(), then model.save_pretrained()), or give each adapter an entry of its own."
        }
        let trimmed = parts.map { part in String(part.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed()) }
        guard trimmed != parts.map(String.init), !trimmed.contains("") else { return nil }
        return "Spaces beside the \"+\" are part of the paths. Write \"\(trimmed.joined(separator: "+").excerpt)\"."
    }

    /// Whether a text has the Hub's form `owner/name`.
    private func isHubID(_ text: String) -> Bool {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, !text.hasSuffix(".safetensors"), !text.hasPrefix(".") else { return false }
        return parts.allSatisfy { part in
            !part.isEmpty
                && part.utf8.allSatisfy { byte in
                    (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte & 0xDF) || "-_.".utf8.contains(byte)
                }
        }
    }

    private var danglingTarget: String? {
        guard (try? roots.requireInside(path.removingLastComponent())) != nil else { return nil }
        var bytes = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        guard unsafe readlink(path.string, &bytes, Int(PATH_MAX)) > 0 else { return nil }
        return FilePath(platformString: bytes).string
    }

    /// The sentence about a file in another format.
    private var foreignFile: String? {
        guard let name = path.lastComponent?.string, (try? roots.kind(of: path)) != .directory,
            let other = ForeignWeights.first(in: [name])
        else { return nil }
        return "\(path): is no safetensors file. \(other.remedy)"
    }

    // MARK: - A directory without safetensors

    private var emptyDirectory: String? {
        guard let names = names(in: path) else { return nil }
        if names.contains("adapter_config.json") { return adapterProblem }
        if names.contains("snapshots"), let found = self.names(in: path.appending("snapshots")) {
            let snapshots = found.prefix(3).map { "\(path.appending("snapshots").appending($0))" }
            return "\(path): is a model's directory in the cache of the Hugging Face Hub. Name one of its snapshots: "
                + (snapshots.isEmpty ? "none was downloaded" : snapshots.joined(separator: ", ")) + "."
        }
        if let model = names.first(where: { $0.hasPrefix("models--") }) {
            return "\(path): is the cache of the Hugging Face Hub. Name a snapshot of a model in it: "
                + "\(path.appending(model).appending("snapshots"))/…"
        }
        if let other = ForeignWeights.first(in: names) {
            return "\(path): holds \"\(other.name.excerpt)\" and no safetensors file. \(other.remedy)"
        }
        let inner = names.filter {
            self.names(in: path.appending($0))?.contains { $0.hasSuffix(".safetensors") } ?? false
        }
        if !inner.isEmpty {
            return
                "\(path): holds no safetensors file itself, but directories that do: \(inner.listed(limit: 4)). Name one "
                + "of them."
        }
        return nil
    }

    private func names(in directory: FilePath) -> [String]? { try? roots.names(in: directory) }
}

/// Weights in other file formats, recognised by their names.
private struct ForeignWeights {
    let name: String
    let remedy: String

    static func first(in names: [String]) -> ForeignWeights? {
        if names.contains(AdapterDirectory.pickledName) {
            return ForeignWeights(name: AdapterDirectory.pickledName, remedy: AdapterDirectory.conversion)
        }
        for (suffix, remedy) in remedies {
            if let name = names.first(where: { $0.hasSuffix(suffix) }) {
                return ForeignWeights(name: name, remedy: remedy)
            }
        }
        return nil
    }

    private static let convert =
        "Convert it in Python: load it with torch.load, and write it with safetensors.torch.save_file; a model of "
        + "transformers by from_pretrained and save_pretrained."
    private static let remedies = [
        (".bin", convert), (".pt", convert), (".pth", convert), (".ckpt", convert),
        (".gguf", "It is made for llama.cpp and mostly quantised: use the original model."),
        (".npz", "Convert it in Python: safetensors.numpy.save_file(dict(numpy.load(…)), …)."),
        (".msgpack", "Use the model's weights for PyTorch."), (".h5", "Use the model's weights for PyTorch."),
        (".onnx", "Use the model's weights for PyTorch."),
    ]
}
