import JSONText
import Safetensors
public import SystemPackage

/// Images and labels of one task and split.
public struct ImageSet: Equatable, Sendable {
    /// `[samples, 28, 28]`, grey.
    public let images: [UInt8]
    /// `[samples]`.
    public let labels: [Int32]

    /// Images with their labels.
    public init(images: [UInt8], labels: [Int32]) {
        self.images = images
        self.labels = labels
    }

    /// Number of samples.
    public var count: Int { labels.count }
}

/// The data of all tasks: `<task>.<split>.x`, `[samples, 28, 28]` U8, and `<task>.<split>.y`, `[samples]` U8.
public struct TaskData: Sendable {
    /// The split of the images.
    public enum Split: String, CaseIterable, Sendable {
        /// For fine-tuning and factors.
        case train
        /// For choosing α.
        case validation
        /// For what is reported.
        case test
    }

    /// The file's tasks, in the order of the metadata if it has one, else by name.
    public let tasks: [String]
    private let file: SafetensorsFile

    /// Opens a data file.
    /// - Throws: ``LaboratoryError/safetensors(_:)`` for an unreadable file.
    public init(opening path: FilePath) throws(LaboratoryError) {
        let file = try reading { () throws(SafetensorsError) in try SafetensorsFile(opening: path) }
        self.file = file
        let found = Set(file.header.tensors.compactMap { Self.task(ofTensor: $0.name) })
        // A task's name becomes part of file names.
        if let odd = found.first(where: { $0.hasPrefix(".") || $0.contains(where: { "/\\\0".contains($0) }) }) {
            throw .invalidData(
                file: path, tensor: "\(odd).train.x",
                problem: "names a task that cannot be a file's name: no \"/\", and no \".\" in front")
        }
        var order: [String] = []
        if let text = file.header.metadata["tasks"],
            case .array(let names)? = try? JSONValue(parsing: Array(text.utf8), file: path)
        {
            for name in names.compactMap(\.stringValue) where found.contains(name) && !order.contains(name) {
                order.append(name)
            }
        }
        tasks = order + found.subtracting(order).sorted()
    }

    /// Reads the images of a task.
    ///
    /// - Throws: ``LaboratoryError/missingTask(file:task:present:)``, or
    ///   ``LaboratoryError/invalidData(file:tensor:problem:)`` for another shape, type or number of labels.
    public func images(of task: String, _ split: Split) throws(LaboratoryError) -> ImageSet {
        guard tasks.contains(task) else { throw .missingTask(file: file.path, task: task, present: tasks) }
        let (imageName, labelName) = ("\(task).\(split.rawValue).x", "\(task).\(split.rawValue).y")
        let images = try bytes(imageName) { $0.count == 3 && $0[1] == 28 && $0[2] == 28 && $0[0] > 0 }
        let labels = try bytes(labelName) { $0 == [images.count / (28 * 28)] }
        return ImageSet(images: images, labels: labels.map(Int32.init))
    }

    private func bytes(_ name: String, where isShape: ([Int]) -> Bool) throws(LaboratoryError) -> [UInt8] {
        guard let tensor = file.header[name] else {
            throw .invalidData(file: file.path, tensor: name, problem: "is missing")
        }
        guard tensor.dataType == .uint8, isShape(tensor.shape) else {
            throw .invalidData(
                file: file.path, tensor: name,
                problem: "is \(tensor.dataType.rawValue) \(tensor.shape); expected U8 images [samples, 28, 28] with "
                    + "as many U8 labels [samples]")
        }
        return try reading { () throws(SafetensorsError) in try file.bytes(of: name, count: tensor.byteCount) }
    }

    /// Takes `<task>` from `<task>.<split>.x` or `.y`; nil for every other tensor.
    private static func task(ofTensor name: String) -> String? {
        for suffix in Split.allCases.flatMap({ [".\($0.rawValue).x", ".\($0.rawValue).y"] })
        where name.hasSuffix(suffix) && name.count > suffix.count {
            return String(name.dropLast(suffix.count))
        }
        return nil
    }
}
