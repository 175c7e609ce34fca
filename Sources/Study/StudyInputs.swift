import FileAccess
public import Laboratory
public import SystemPackage

/// The inputs of a study: the base, the heads, and every task's images.
public struct StudyInputs: Sendable {
    /// The directory's files.
    public static let fileNames = (base: "base.safetensors", heads: "heads.safetensors", data: "data.safetensors")

    /// The pre-trained model.
    public let base: BaseModel
    /// SHA-256 of the data file.
    public let dataDigest: [UInt8]
    /// SHA-256 of the heads' file.
    public let headsDigest: [UInt8]
    /// The path of the base's file.
    public let basePath: FilePath
    /// The tasks with their training images, for training and factors.
    public let train: [EvaluationTask]
    /// The tasks with their validation images, for choosing α.
    public let validation: [EvaluationTask]
    /// The tasks with their test images, for the reported numbers.
    public let test: [EvaluationTask]

    /// Reads a directory that holds `base.safetensors`, `heads.safetensors` and `data.safetensors`.
    ///
    /// - Parameters:
    ///   - directory: The directory.
    ///   - tasks: The tasks to read; nil for all tasks of the data file.
    ///   - splits: The splits to read. The lists of other splits stay empty.
    /// - Throws: ``Laboratory/LaboratoryError``.
    public init(
        _ directory: FilePath, tasks: [String]? = nil, splits: Set<TaskData.Split> = [.train, .validation, .test]
    ) throws(LaboratoryError) {
        basePath = directory.appending(Self.fileNames.base)
        let base = try BaseModel(opening: basePath)
        let dataPath = directory.appending(Self.fileNames.data)
        let headsPath = directory.appending(Self.fileNames.heads)
        let data = try TaskData(opening: dataPath)
        let names = tasks ?? data.tasks
        guard !names.isEmpty else { throw .usage("\(dataPath): holds no task. Give the data of a study.") }
        let heads = try base.heads(of: names, in: headsPath)
        do throws(FileError) {
            dataDigest = try FileDigest.sha256(ofFileAt: dataPath)
            headsDigest = try FileDigest.sha256(ofFileAt: headsPath)
        } catch { throw .file(error) }
        func read(_ split: TaskData.Split) throws(LaboratoryError) -> [EvaluationTask] {
            guard splits.contains(split) else { return [] }
            var read: [EvaluationTask] = []
            for name in names {
                guard let head = heads[name] else { continue }
                let images = try data.images(of: name, split)
                read.append(try EvaluationTask(name: name, head: head, images: images, base: base))
            }
            return read
        }
        self.base = base
        train = try read(.train)
        validation = try read(.validation)
        test = try read(.test)
    }

    /// The tasks' names, in the data's order.
    public var taskNames: [String] { [train, test, validation].first { !$0.isEmpty }?.map(\.name) ?? [] }

    /// The two tasks for the plane of α1 and α2: the first task and a middle one; nil for a single task.
    public var figurePair: (first: Int, second: Int)? {
        taskNames.count > 1 ? (0, max(1, taskNames.count / 2 - 1)) : nil
    }
}
