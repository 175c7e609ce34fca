import Identifiers
import JSONText
public import LinearAlgebra

/// How a matrix of a file is compressed, and what it lost, as the file's metadata state it.
///
/// Source: DESIGN section 3.
public struct FactorCompression: Equatable, Sendable {
    /// The form, and what readers add to the diagonal.
    public var compression: Compression
    /// Rows and columns of the matrix.
    public var dimension: Int
    /// ‖M − M'‖ / ‖M‖ in the Frobenius norm.
    public var relativeError: Double
    /// The smallest eigenvalue of M'.
    public var smallestEigenvalue: Double
    /// The mean eigenvalue of M'.
    public var meanEigenvalue: Double

    /// States a compression.
    public init(form: CompressedForm, dimension: Int, loss: CompressionLoss) {
        self.compression = Compression(form: form, shift: loss.shift)
        self.dimension = dimension
        self.relativeError = loss.relativeError
        self.smallestEigenvalue = loss.smallestEigenvalue
        self.meanEigenvalue = loss.meanEigenvalue
    }

    /// The rows that a matrix may have at most, as everywhere in files.
    private static let dimensionEnd = 1 << 24

    /// What the metadata state; nil for anything else.
    init?(_ value: JSONValue) {
        guard let word = value["form"]?.stringValue.flatMap(CompressedForm.Word.init(rawValue:)),
            let dimension = value["dimension"]?.count, (1..<Self.dimensionEnd).contains(dimension),
            let shift = value["shift"]?.nonNegativeNumber, let error = value["relative_error"]?.nonNegativeNumber,
            let smallest = value["smallest_eigenvalue"]?.finiteNumber,
            let mean = value["mean_eigenvalue"]?.finiteNumber
        else { return nil }
        let parameter = word.parameter.flatMap { value[$0]?.count }
        guard let form = CompressedForm(word, parameter: parameter) else { return nil }
        compression = Compression(form: form, shift: shift)
        self.dimension = dimension
        (relativeError, smallestEigenvalue, meanEigenvalue) = (error, smallest, mean)
    }

    var json: JSONValue {
        let word = compression.form.word
        var members: [JSONValue.Member] = [.init("form", .string(word.rawValue))]
        if let key = word.parameter, let parameter = compression.form.parameter {
            members.append(.init(key, .number("\(parameter)")))
        }
        return .object(
            members + [
                .init("dimension", .number("\(dimension)")),
                .init("relative_error", .number("\(relativeError)")),
                .init("smallest_eigenvalue", .number("\(smallestEigenvalue)")),
                .init("mean_eigenvalue", .number("\(meanEigenvalue)")),
                .init("shift", .number("\(compression.shift)")),
            ])
    }

    /// The type and the shape of the tensor that holds the form's bytes.
    ///
    /// No reader of exact matrices takes it for one: the type is another one, or the shape is a single row.
    var tensor: (type: String, shape: [Int]) {
        Self.tensor(of: compression.form, dimension: dimension)
    }

    /// The type and the shape of the tensor that holds a form's bytes.
    static func tensor(of form: CompressedForm, dimension: Int) -> (type: String, shape: [Int]) {
        let byteCount = form.byteCount(dimension: dimension)
        return switch form {
        case .bf16: ("BF16", [byteCount / 2])
        case .int8: ("U8", [byteCount])
        case .blockDiagonal, .lowRank: ("F32", [1, byteCount / 4])
        }
    }
}

extension MetadataReader {
    /// The compressed matrices of a file, by the names of their tensors.
    func compressions() throws(JobFileError) -> [String: FactorCompression] {
        try object(
            MetadataKey.compression,
            "an object of {\"form\", \"dimension\", \"relative_error\", \"smallest_eigenvalue\", \"mean_eigenvalue\", "
                + "\"shift\"} by tensor, with \"blocks\" for the form block_diagonal and \"rank\" for low_rank",
            FactorCompression.init) ?? [:]
    }
}

extension [String: FactorCompression] {
    /// The metadata's string; `nil` when no matrix is compressed.
    public var metadataText: String? {
        isEmpty ? nil : JSONValue.sortedObject(self, \.json).text()
    }
}
