import Laboratory
import Safetensors
import SystemPackage
import TestSupport
import Testing

struct TaskDataTests {
    private let directory: TemporaryDirectory
    private var path: FilePath { FilePath(directory.appending("data")) }

    init() throws { directory = try TemporaryDirectory() }

    /// Writes tensors of bytes 0, 1, 2, ….
    private func data(
        _ tensors: [(String, [Int])], type: TensorDataType = .uint8, metadata: [String: String] = [:]
    ) throws -> TaskData {
        let writer = try SafetensorsWriter(
            path: path, tensors: tensors.map { TensorDescription(name: $0.0, dataType: type, shape: $0.1) },
            metadata: metadata)
        for tensor in writer.tensors {
            let bytes = (0..<tensor.byteCount).map { UInt8(truncatingIfNeeded: $0) }
            try writer.write(bytes.span.bytes, to: tensor.name)
        }
        try writer.finish()
        return try TaskData(opening: path)
    }

    @Test func `images and labels are the split's own`() throws {
        let data = try data([
            ("a.train.x", [3, 28, 28]), ("a.train.y", [3]), ("a.test.x", [2, 28, 28]), ("a.test.y", [2]),
        ])
        let images = try data.images(of: "a", .train)
        #expect(images.count == 3)
        #expect(images.labels == [0, 1, 2])
        #expect(images.images == (0..<3 * 28 * 28).map { UInt8(truncatingIfNeeded: $0) })
        #expect(try data.images(of: "a", .test).count == 2)
    }

    @Test func `tasks stand in the order of the metadata, others behind by name`() throws {
        let tensors = ["d", "c", "b", "a"].map { ("\($0).train.y", [1]) }
        #expect(try data(tensors, metadata: ["tasks": #"["c", "absent", "b"]"#]).tasks == ["c", "b", "a", "d"])
        #expect(try data(tensors).tasks == ["a", "b", "c", "d"])
        #expect(try data(tensors, metadata: ["tasks": "no JSON"]).tasks == ["a", "b", "c", "d"])
    }

    @Test func `a dotted name is a task's, and other tensors are none's`() throws {
        let data = try data([("v1.5.train.y", [1]), ("meta.x", [1]), ("train.x", [1])])
        #expect(data.tasks == ["v1.5"])
    }

    // MARK: - What cannot be read

    @Test(arguments: ["../a", "a/b", ".a"]) func `a task that is no file's name is refused`(_ task: String) {
        #expect(
            message { () throws(LaboratoryError) in
                do { _ = try data([("\(task).train.y", [1])]) } catch let error as LaboratoryError { throw error } catch
                {}
            }
                == "\(path): tensor \"\(task).train.x\": names a task that cannot be a file's name: no \"/\", and no \".\" in "
                + "front.")
    }

    private func refusal(_ data: TaskData, _ task: String = "a") -> String {
        message { () throws(LaboratoryError) in _ = try data.images(of: task, .train) }
    }

    private static let expected = "; expected U8 images [samples, 28, 28] with as many U8 labels [samples]."

    @Test func `a task that is not there is refused with those that are`() throws {
        let data = try data([("a.train.x", [1, 28, 28]), ("b.train.y", [1])])
        #expect(refusal(data, "c") == "\(path): no task \"c\"; it holds a, b.")
    }

    @Test func `missing images or labels are named`() throws {
        #expect(
            refusal(try data([("a.train.y", [1])])) == "\(path): tensor \"a.train.x\": is missing.")
        #expect(
            refusal(try data([("a.train.x", [1, 28, 28])])) == "\(path): tensor \"a.train.y\": is missing.")
    }

    @Test(arguments: [[2, 28, 27], [0, 28, 28], [28, 28], [1, 1, 28, 28]])
    func `images of another shape are refused`(_ shape: [Int]) throws {
        let data = try data([("a.train.x", shape), ("a.train.y", [2])])
        #expect(refusal(data) == "\(path): tensor \"a.train.x\": is U8 \(shape)\(Self.expected)")
    }

    @Test func `images of another type are refused`() throws {
        let data = try data([("a.train.x", [1, 28, 28]), ("a.train.y", [1])], type: .float32)
        #expect(refusal(data) == "\(path): tensor \"a.train.x\": is F32 [1, 28, 28]\(Self.expected)")
    }

    @Test func `another number of labels than of images is refused`() throws {
        let data = try data([("a.train.x", [2, 28, 28]), ("a.train.y", [3])])
        #expect(refusal(data) == "\(path): tensor \"a.train.y\": is U8 [3]\(Self.expected)")
    }

    @Test func `a file that is not there is named`() {
        let found = message { () throws(LaboratoryError) in _ = try TaskData(opening: "/nowhere/data") }
        #expect(found.hasPrefix("/nowhere/data: "))
    }
}
