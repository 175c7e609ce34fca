public import FileAccess
public import Identifiers
public import JSONText
public import LinearAlgebra
public import Safetensors
public import SystemPackage

/// Everything that can be wrong with a capture, factor, regularizer, inverse or checkpoint file.
///
/// Each description is a sentence in this order: the file, what is wrong, what was expected, what to do.
public enum JobFileError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The file is not a whole safetensors file, or reading or writing it failed.
    case safetensors(SafetensorsError)
    /// A file beside the tensors cannot be read or written.
    case file(FileError)
    /// A text beside the tensors is not JSON.
    case json(JSONError)
    /// A matrix that was read or written has a wrong shape, or its memory cannot be allocated.
    case linearAlgebra(file: FilePath, LinearAlgebraError)
    /// `format` states another kind or version.
    case wrongFormat(file: FilePath, FormatProblem)
    /// A required metadata value is missing.
    case metadataMissing(file: FilePath, key: String, expected: String)
    /// A metadata value has the wrong type.
    case metadataInvalid(file: FilePath, key: String, text: String, expected: String)
    /// The capture has no samples.
    case zeroSamples(file: FilePath)
    /// The capture has no files.
    case noFiles
    /// A tensor's name has no meaning in a file of this kind.
    case unknownTensor(file: FilePath, tensor: String, kind: JobFileKind)
    /// The file lacks a required tensor.
    case missingTensor(file: FilePath, tensor: String)
    /// A tensor has a shape that its role does not allow.
    case shape(file: FilePath, tensor: String, shape: [Int], expected: String)
    /// A tensor has an element type that its role does not allow.
    case dataType(file: FilePath, tensor: String, found: TensorDataType, expected: String)
    /// In one part of the capture, a layer has input rows without gradient rows, or the reverse.
    case partnerMissing(file: FilePath, layer: LayerName, present: String, missing: String)
    /// A layer or parameter has rows, but no samples.
    case rowsWithoutSamples(file: FilePath, owner: String, rows: Int)
    /// The metadata counts samples of a layer or parameter that no file holds.
    case samplesWithoutRows(file: FilePath, owner: String, samples: Int)
    /// The number of gradient rows is not the number of input rows times probes.
    case gradientRows(file: FilePath, layer: LayerName, inputRows: Int, gradientRows: Int, probes: Int)
    /// The number of parameter gradients is not the number of samples times probes.
    case parameterRows(file: FilePath, parameter: ParameterName, rows: Int, samples: Int, probes: Int)
    /// Two files of one capture contradict each other about `subject`, of the tensor or layer `name` if there is one.
    case differs(file: FilePath, other: FilePath, subject: String, name: String?, found: String, expected: String)
    /// The captured tensor does not have these rows.
    case rowsOutside(tensor: String, rows: Range<Int>, rowCount: Int)
    /// A matrix is not finite, symmetric and positive semi-definite.
    case noFactor(file: FilePath, tensor: String, FactorFlaw)
    /// Partial sums do not belong together, or do not make whole factors.
    case partials(PartialsProblem)
    /// A sum whose rows are announced or have come cannot become a tensor of the file.
    case draft(file: FilePath, tensor: String, DraftFlaw)
    /// A `tokenizer.json` has no vocabulary of a known form.
    case noVocabulary(file: FilePath)
    /// A model's `config.json` is JSON, but not an object.
    case noConfiguration(file: FilePath, found: String)
    /// A setting of an adapter has a value with which its update is not formed.
    case adapterSetting(file: FilePath, key: String, found: String, expected: String)
    /// Two or more of these errors.
    case several([JobFileError])

    /// The errors one by one: the members of ``several(_:)``, or this one alone.
    public var all: [JobFileError] {
        switch self {
        case .several(let errors): errors.flatMap(\.all)
        case .safetensors(let error): error.all.map(JobFileError.safetensors)
        default: [self]
        }
    }

    /// The errors of reading and writing files among these errors.
    public var files: [FileError] {
        all.compactMap { error in
            switch error {
            case .file(let error), .safetensors(.file(let error)): error
            default: nil
            }
        }
    }

    /// Bundles errors: nil for none, the error itself for one, ``several(_:)`` for more.
    static func bundle(_ errors: [JobFileError]) -> JobFileError? {
        errors.count > 1 ? .several(errors) : errors.first
    }
}
