public import FileAccess
public import Identifiers
import LinearAlgebra
public import Safetensors
public import SystemPackage

/// The captures of one task: one file, or several files that split the samples or the layers.
///
/// A tensor's rows are the concatenation of its rows in all files, in the order of the files. Source: DESIGN section 3.
public final class CaptureSet: Sendable {
    /// A captured linear layer.
    public struct Layer: Equatable, Sendable {
        /// The layer's name.
        public let name: LayerName
        /// `[rows, d_in]`, without the ones of the bias; `[rows]` for indices, as an embedding takes them.
        public let input: CapturedTensor
        /// `[rows·M, d_out]`; probe-major in each file: all rows of the first probe, then of the second.
        public let outputGradient: CapturedTensor
        /// N of the layer, the sum over the files that hold it.
        public let sampleCount: Int
        /// R, input rows of each sample; nil when samples may have different numbers of rows.
        public let positionCount: Int?
        /// The sample of each input row, for each part of the input; empty unless the files state it.
        public let rowSamples: [RowSamples]
        /// N of the task by the files that hold the layer; nil when a file states the layer's own number.
        public let fileSampleCount: Int?
    }

    /// The sample of each input row of a layer in one file, from 0.
    public struct RowSamples: Equatable, Sendable {
        /// Position in ``CaptureSet/files``.
        public let fileIndex: Int
        /// The file, for messages.
        public let file: FilePath
        /// I32 or I64.
        public let dataType: TensorDataType
        /// Input rows of the part.
        public let rowCount: Int
        /// First byte of the numbers, from the start of the file.
        public let fileOffset: Int
    }

    /// A layer or parameter of the task without a single row: an expert to which nothing was routed.
    public struct EmptyBlock: Equatable, Sendable {
        /// The layer's or the parameter's name.
        public let name: String
        /// d_in, if a file holds the layer's empty input.
        public let inputColumnCount: Int?
        /// d_out or d, if a file holds the empty gradients.
        public let gradientColumnCount: Int?
    }

    /// A captured parameter outside linear layers.
    public struct Parameter: Equatable, Sendable {
        /// The parameter's name.
        public let name: ParameterName
        /// `[N·M, d]`, probe-major inside each file.
        public let gradient: CapturedTensor
        /// N of the parameter, the sum over the files that hold it.
        public let sampleCount: Int
        /// N of the task by the files that hold the parameter; nil when a file states the parameter's own number.
        public let fileSampleCount: Int?
    }

    /// The open files in the order given.
    public let files: [SafetensorsFile]
    /// M, the same in every file.
    public let probeCount: Int
    /// The task, if a file names it; all files that name one agree.
    public let task: TaskName?
    /// SHA-256 of the base checkpoint, if a file names it; all files that name one agree.
    public let baseDigest: BlobDigest?
    /// The layers, sorted by name.
    public let layers: [Layer]
    /// The parameters, sorted by name.
    public let parameters: [Parameter]
    /// The layers and parameters without rows, sorted by name.
    public let emptyBlocks: [EmptyBlock]
    /// N of the task: the most samples of any layer or parameter by the files that hold it.
    public let sampleCount: Int
    /// The layouts that files declare, by layer, each with its file.
    public let layouts: [String: (layout: WeightLayout, file: FilePath)]
    /// The factors of which the files ask for the diagonal only.
    public let diagonals: Set<CurvatureTensorName>

    /// Opens all files of a capture and checks them one by one and together.
    ///
    /// - Parameters:
    ///   - paths: files, or directories in Hugging Face layout, whose shards are sorted by name.
    ///   - roots: the directories below which files may be read.
    /// - Throws: ``JobFileError``: all problems that were found, as ``JobFileError/several(_:)`` if more than one.
    public init(opening paths: [FilePath], within roots: FileRoots = .unlimited) throws(JobFileError) {
        guard !paths.isEmpty else { throw .noFiles }
        var problems: [JobFileError] = []
        var files: [CaptureFile] = []
        for path in paths {
            do throws(SafetensorsError) {
                for file in try SafetensorsSet(opening: path, within: roots).files {
                    do throws(JobFileError) { files.append(try CaptureFile(file)) } catch { problems += error.all }
                }
            } catch {
                problems += error.all.map(JobFileError.safetensors)
            }
        }
        let assembly = CaptureAssembly(files: files)
        let declared = DeclaredLayouts(
            files.map { ($0.file.path, $0.metadata.layouts) }, layers: Set(assembly.layers.map(\.name.rawValue)))
        let diagonals = DeclaredDiagonals(
            files.map { ($0.file.path, $0.metadata.diagonals) },
            layers: Set(assembly.layers.map(\.name.rawValue) + assembly.emptyBlocks.map(\.name)))
        // A layer that lacks a tensor is not joined, and its declaration is then no problem of its own.
        let ofLayouts = assembly.problems.isEmpty ? declared.problems + diagonals.problems : []
        if let error = JobFileError.bundle(problems + assembly.problems + ofLayouts) { throw error }
        self.layouts = declared.layouts
        self.diagonals = diagonals.names
        self.files = files.map(\.file)
        self.probeCount = files.first?.metadata.probeCount ?? 1
        self.task = files.lazy.compactMap(\.metadata.task).first
        self.baseDigest = files.lazy.compactMap(\.metadata.baseDigest).first
        self.layers = assembly.layers
        self.parameters = assembly.parameters
        self.emptyBlocks = assembly.emptyBlocks
        self.sampleCount = assembly.sampleCount
    }
}

/// One file of a capture, with checked metadata and names.
struct CaptureFile {
    let file: SafetensorsFile
    let metadata: CaptureMetadata
    let tensors: [(name: CaptureTensorName, info: TensorInfo)]

    init(_ file: SafetensorsFile) throws(JobFileError) {
        var problems: [JobFileError] = []
        var tensors: [(name: CaptureTensorName, info: TensorInfo)] = []
        tensors.reserveCapacity(file.header.tensors.count)
        for info in file.header.tensors {
            guard let name = CaptureTensorName(info.name) else {
                problems.append(.unknownTensor(file: file.path, tensor: info.name, kind: .capture))
                continue
            }
            if let problem = Self.problem(of: info, name, file.path) {
                problems.append(problem)
            } else {
                tensors.append((name, info))
            }
        }
        do throws(JobFileError) {
            self.metadata = try CaptureMetadata(parsing: file.header.metadata, file: file.path)
        } catch {
            throw JobFileError.bundle([error] + problems) ?? error
        }
        if let error = JobFileError.bundle(problems) { throw error }
        self.file = file
        self.tensors = tensors
    }

    private static func problem(of info: TensorInfo, _ name: CaptureTensorName, _ file: FilePath) -> JobFileError? {
        if case .rowSamples = name {
            guard [.int32, .int64].contains(info.dataType) else {
                return .dataType(file: file, tensor: info.name, found: info.dataType, expected: "I32 or I64")
            }
            guard info.shape.count == 1 else {
                let expected = "[rows], the sample of each row"
                return .shape(file: file, tensor: info.name, shape: info.shape, expected: expected)
            }
            return nil
        }
        if case .input = name, IndexType(rawValue: info.dataType.rawValue) != nil {
            guard info.shape.count == 1, (0..<1 << 40).contains(info.shape[0]) else {
                let expected =
                    "[rows] of integers, one index for each row of an embedding, or [rows, d_in] of F32, F16 or BF16 for "
                    + "the rows of any other layer"
                return .shape(file: file, tensor: info.name, shape: info.shape, expected: expected)
            }
            return nil
        }
        guard [.float32, .float16, .bfloat16].contains(info.dataType) else {
            var expected = "F32, F16 or BF16"
            if case .input = name { expected += ", or I32 or I64 for the indices of an embedding" }
            return .dataType(file: file, tensor: info.name, found: info.dataType, expected: expected)
        }
        // A sparse file can claim any size. Below this limit no sum over files overflows.
        guard info.shape.count == 2, (0..<1 << 40).contains(info.shape[0]), (1..<1 << 40).contains(info.shape[1]) else {
            let expected = "[rows, columns] with at least one column and fewer than 2^40 of each"
            return .shape(file: file, tensor: info.name, shape: info.shape, expected: expected)
        }
        return nil
    }
}
