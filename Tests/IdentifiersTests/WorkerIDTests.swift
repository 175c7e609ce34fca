import Identifiers
import Testing

@Suite struct WorkerIDTests {
    @Test(arguments: ["gpu", "gpu-1", "rack-7-gpu-1", "-", ""])
    func `processes of a worker have different names, and the worker's lasts`(name: String) {
        let first = WorkerID(name: name, process: 77, mark: 0)
        let second = WorkerID(name: name, process: 77, mark: .max)
        #expect(first != second)
        #expect(first.lastingName == name)
        #expect(second.lastingName == name)
    }

    @Test(arguments: ["w1", "bench", "a-b-c", "gpu-1"])
    func `a name without a process lasts as it is`(text: String) {
        #expect(WorkerID(rawValue: text).lastingName == text)
    }
}
