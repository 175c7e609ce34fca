public import Identifiers
public import LinearAlgebra
public import Safetensors
public import SystemPackage

/// What can be wrong with a capture, factor, regularizer, inverse or checkpoint file.
///
/// Each description is a sentence that starts with the file: what is wrong; what was expected. What to do.
public enum JobFileError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The file is not a whole safetensors file, or reading or writing it failed.
    case safetensors(SafetensorsError)
    /// Memory or shapes of a matrix that was read into or written from.
    case linearAlgebra(file: FilePath, LinearAlgebraError)
    /// `format` names another kind or version.
    case wrongFormat(file: FilePath, FormatProblem)
    /// A metadata value without which the file cannot be used.
    case metadataMissing(file: FilePath, key: String, expected: String)
    /// A metadata value of another kind.
    case metadataInvalid(file: FilePath, key: String, text: String, expected: String)
    /// A capture of no samples.
    case zeroSamples(file: FilePath)
    /// A capture of no files.
    case noFiles
    /// A tensor whose name says nothing in a file of its kind.
    case unknownTensor(file: FilePath, tensor: String, kind: JobFileKind)
    /// A tensor that the file should hold.
    case missingTensor(file: FilePath, tensor: String)
    /// A tensor of a shape that its role does not allow.
    case shape(file: FilePath, tensor: String, shape: [Int], expected: String)
    /// A tensor of an element type that its role does not allow.
    case dataType(file: FilePath, tensor: String, found: TensorDataType, expected: String)
    /// A layer that has input rows without gradient rows, or the other way round, in one part of the capture.
    case partnerMissing(file: FilePath, layer: LayerName, present: String, missing: String)
    /// Input rows that are not a whole number of positions for each sample.
    case rowsPerSample(file: FilePath, layer: LayerName, rows: Int, samples: Int)
    /// Gradient rows that are not one for each input row and probe.
    case gradientRows(file: FilePath, layer: LayerName, inputRows: Int, gradientRows: Int, probes: Int)
    /// Parameter gradients that are not one for each sample and probe.
    case parameterRows(file: FilePath, parameter: ParameterName, rows: Int, samples: Int, probes: Int)
    /// Two files of one capture that do not fit together; `subject` says in what.
    case differs(file: FilePath, other: FilePath, subject: String, found: String, expected: String)
    /// Rows that the captured tensor does not have.
    case rowsOutside(tensor: String, rows: Range<Int>, rowCount: Int)
    /// A matrix that is not finite, symmetric and positive semi-definite.
    case noFactor(file: FilePath, tensor: String, FactorFlaw)
    /// A model's `config.json` that is JSON, but no object.
    case noConfiguration(file: FilePath, found: String)
    /// Two or more of the above, all that were found.
    case several([JobFileError])

    /// The errors one by one: the members of ``several(_:)``, otherwise this one alone.
    public var all: [JobFileError] {
        switch self {
        case .several(let errors): errors.flatMap(\.all)
        case .safetensors(let error): error.all.map(JobFileError.safetensors)
        default: [self]
        }
    }

    /// Bundles what was found: nil for nothing, the error itself for one, ``several(_:)`` for more.
    static func bundle(_ errors: [JobFileError]) -> JobFileError? {
        errors.count > 1 ? .several(errors) : errors.first
    }
}
