public import FileAccess
public import Identifiers
public import JSONText
public import JobFiles
public import LinearAlgebra
public import ReferenceModel
public import Safetensors
public import SystemPackage

/// Why an experiment stops, for the person who runs it.
public enum LaboratoryError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A file that is not a whole safetensors file.
    case safetensors(SafetensorsError)
    /// A file that could not be read or written.
    case file(FileError)
    /// A report that is not JSON.
    case json(JSONError)
    /// A factor or regularizer file that breaks its format.
    case jobFile(JobFileError)
    /// A base whose sizes do not fit together.
    case model(file: FilePath, ReferenceModelError)
    /// A base without the sizes of the model.
    case missingConfiguration(file: FilePath)
    /// A checkpoint of another architecture than the base.
    case otherArchitecture(file: FilePath, tensor: String, found: String, expected: String)
    /// A data file without a task.
    case missingTask(file: FilePath, task: String, present: [String])
    /// Images and labels that do not belong together.
    case invalidData(file: FilePath, tensor: String, problem: String)
    /// A regularizer that was made for another base.
    case otherBase(file: FilePath, expected: String, found: String)
    /// A regularizer that lacks a layer of the model, or holds it in another size.
    case curvatureMismatch(file: FilePath, tensor: String, problem: String)
    /// A tensor with NaN or infinity.
    case notFinite(file: FilePath, tensor: String, element: Int)
    /// A regularizer that leaves out another task.
    case otherTarget(file: FilePath, target: String, task: String)
    /// A loss that is not a number.
    case diverged(task: String, step: Int, stepCount: Int, learningRate: Double, beta: Double)
    /// A capture that cannot be made.
    case invalidCapture(task: String, problem: String)
    /// Rows of a joint form that cannot be decomposed.
    case compression(LinearAlgebraError)
    /// Shared inputs from which images cannot be decoded.
    case leak(LinearAlgebraError)
    /// A file of another version.
    case otherFormat(file: FilePath, FormatProblem)
    /// A report of the daemon that lacks what the study needs.
    case invalidReport(file: FilePath, problem: String)
    /// A program that ended with an error.
    case programFailed(program: String, code: Int32, output: String)
    /// A program that could not be started.
    case programMissing(program: String, problem: String)
    /// Options that contradict each other or name what does not exist.
    case usage(String)
    /// The work was cancelled before its end.
    case interrupted
    /// A result of an earlier run in the output directory that belongs to other settings.
    case otherStudy(directory: FilePath, setting: String, found: String, expected: String)

    /// A penalty against other tasks, where there is no other task.
    static let noOtherTask = LaboratoryError.usage("the data holds one task only; this penalty needs others.")

    /// What is wrong, where, and what to do.
    public var description: String {
        switch self {
        case .safetensors(let error): "\(error)"
        case .file(let error): "\(error)"
        case .json(let error): "\(error)"
        case .jobFile(let error): "\(error)"
        case .model(let file, let error): "\(file): \(error)"
        case .missingConfiguration(let file):
            "\(file): no model sizes; expected a \"cfg\" entry of the metadata like {\"d\": 64, \"depth\": 3, "
                + "\"heads\": 4, \"mlp\": 4, \"patch\": 7, \"out\": 64}. Give the lab's own base checkpoint."
        case .otherArchitecture(let file, let tensor, let found, let expected):
            "\(file): tensor \"\(tensor)\" is \(found); the base's model expects \(expected). Give files of the same "
                + "model: a checkpoint that was fine-tuned from this base, or its heads."
        case .missingTask(let file, let task, let present):
            "\(file): no task \"\(task)\"; it holds \(present.joined(separator: ", "))."
        case .invalidData(let file, let tensor, let problem): "\(file): tensor \"\(tensor)\": \(problem)."
        case .otherBase(let file, let expected, let found):
            "\(file): made for the base with SHA-256 \(found), but this base has \(expected). Compute the factors and "
                + "the regularizer again with this base."
        case .curvatureMismatch(let file, let tensor, let problem): "\(file): \"\(tensor)\" \(problem)."
        case .notFinite(let file, let tensor, let element):
            "\(file): tensor \"\(tensor)\" holds NaN or infinity, first at element \(element). Make the file again."
        case .otherTarget(let file, let target, let task):
            "\(file): leaves out \"\(target)\", so it holds \"\(task)\"'s own factors. Give the regularizer whose target "
                + "is \"\(task)\"."
        case .diverged(let task, let step, let stepCount, let learningRate, let beta):
            "task \(task): the loss is not finite at step \(step) of \(stepCount). Lower the learning rate "
                + "(\(learningRate))\(beta > 0 ? " or β (\(beta))" : "")."
        case .invalidCapture(let task, let problem): "task \(task): \(problem)."
        case .compression(let error):
            "the rows of a joint form cannot be compressed: \(error) Look for values in the base that are not finite."
        case .leak(let error):
            "the leak of images cannot be measured: \(error) Look for values in the base that are not finite."
        case .otherFormat(let file, let problem): "\(file): \(problem)"
        case .invalidReport(let file, let problem): "\(file): \(problem)."
        case .programFailed(let program, let code, let output):
            "\(program) ended with code \(code):\n\(output)"
        case .programMissing(let program, let problem): "\(program) cannot be started: \(problem)."
        case .usage(let problem): problem
        case .interrupted: "interrupted."
        case .otherStudy(let directory, let setting, let found, let expected):
            "\(directory): holds an earlier study, whose \(setting) is \(found); this one's is \(expected). Give another "
                + "--output, or remove the whole directory."
        }
    }
}

/// Runs a body and makes its safetensors error into one of the lab's.
func reading<Value>(_ body: () throws(SafetensorsError) -> Value) throws(LaboratoryError) -> Value {
    do { return try body() } catch { throw .safetensors(error) }
}

/// Runs a body and makes its file error into one of the lab's.
func reading<Value>(_ body: () throws(FileError) -> Value) throws(LaboratoryError) -> Value {
    do { return try body() } catch { throw .file(error) }
}

/// Runs a body and makes its error of a decomposition into one of the lab's.
func compressing<Value>(_ body: () throws(LinearAlgebraError) -> Value) throws(LaboratoryError) -> Value {
    do { return try body() } catch { throw .compression(error) }
}
