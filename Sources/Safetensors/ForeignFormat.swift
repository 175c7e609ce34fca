/// Another format that was given in place of safetensors, recognised by its first bytes.
///
/// Only files that cannot be safetensors are tested, because a safetensors file may begin with any small number.
public enum ForeignFormat: String, Equatable, Sendable {
    /// A ZIP archive: PyTorch's `.pt` and `.bin`, numpy's `.npz`.
    case archive = "a ZIP archive, as torch.save and numpy.savez write it"
    /// A pickle: PyTorch's files before version 1.6.
    case pickle = "a pickle, as old versions of torch.save write it"
    /// llama.cpp's format.
    case gguf = "a GGUF file of llama.cpp"
    /// One array of numpy.
    case numpy = "an array of numpy"
    /// Keras and others.
    case hdf5 = "an HDF5 file"
    /// Compressed data.
    case gzip = "compressed by gzip"
    /// A web page, often from a failed download.
    case html = "a web page, as a failed download leaves it"
    /// JSON.
    case json = "a JSON text"

    /// Recognises the format; nil for anything else.
    init?(_ bytes: [UInt8]) {
        let text = String(decoding: bytes.prefix(64), as: UTF8.self).lowercased()
        let start = text.drop { $0.isWhitespace }
        switch true {
        case bytes.starts(with: [0x50, 0x4B, 0x03, 0x04]): self = .archive
        case bytes.starts(with: Array("GGUF".utf8)): self = .gguf
        case bytes.starts(with: [0x93] + Array("NUMPY".utf8)): self = .numpy
        case bytes.starts(with: [0x89] + Array("HDF\r\n".utf8)): self = .hdf5
        case bytes.starts(with: [0x1F, 0x8B]): self = .gzip
        case bytes.first == 0x80 && bytes.count > 1 && (2...5).contains(bytes[1]): self = .pickle
        case start.hasPrefix("<!doctype") || start.hasPrefix("<html"): self = .html
        case start.hasPrefix("{"): self = .json
        default: return nil
        }
    }

    /// The remedy, as a sentence.
    var remedy: String {
        switch self {
        case .archive, .pickle, .numpy, .hdf5:
            "Convert it in Python: load it there, and write it with safetensors.torch.save_file."
        case .gguf: "Use the original model: this one is mostly quantised."
        case .gzip: "Unpack it."
        case .html: "Download the file again; it may need a login."
        case .json: "Name the file of the weights, or its directory."
        }
    }
}
