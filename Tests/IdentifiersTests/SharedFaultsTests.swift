import Identifiers
import Testing

@Suite struct SharedFaultsTests {
    private func sentences(_ count: Int, files: Int = 1, _ make: (Int) -> String = { "tensor \"t\($0)\" is wrong." })
        -> [String]
    {
        var faults = SharedFaults()
        for file in 0..<files {
            for index in 0..<count {
                faults.append(make(index), about: "t\(index)", of: "tensors", at: "/data/\(file)")
            }
        }
        return faults.sentences
    }

    @Test func `up to three things have a sentence each`() {
        #expect(sentences(0) == [])
        #expect(
            sentences(3) == [
                "/data/0: tensor \"t0\" is wrong.", "/data/0: tensor \"t1\" is wrong.",
                "/data/0: tensor \"t2\" is wrong.",
            ])
    }

    @Test func `more things with one fault share the sentence of the first`() {
        #expect(
            sentences(4) == [
                "/data/0: tensor \"t0\" is wrong. The same is true of 3 more tensors: \"t1\", \"t2\" and 1 more."
            ])
        #expect(
            sentences(150, files: 4) == [
                "/data/0: tensor \"t0\" is wrong. The same is true of 149 more tensors: \"t1\", \"t2\" and 147 more; and of 3 "
                    + "more files: /data/1, /data/2 and 1 more."
            ])
        #expect(
            sentences(1, files: 4) == [
                "/data/0: tensor \"t0\" is wrong. The same is true of 3 more files: /data/1, /data/2 and 1 more."
            ])
    }

    @Test func `numbers, quoted texts and paths do not make another fault, other words do`() {
        #expect(sentences(8) { "tensor \"t\($0)\" of /a/\($0) has [\($0), 3]; expected \($0 + 1)." }.count == 1)
        #expect(sentences(8) { $0 % 2 == 0 ? "tensor \"t\" is wrong." : "layer \"t\" is missing." }.count == 2)
    }

    @Test func `things of another kind have a sentence of their own`() {
        var faults = SharedFaults()
        for index in 0..<4 {
            faults.append("wrong.", about: "t\(index)", of: "layers of \"a\"", at: "f")
            faults.append("wrong.", about: "t\(index)", of: "layers of \"b\"", at: "f")
        }
        #expect(faults.findings.count == 2)
    }

    @Test func `advice for one thing stays with its sentence and makes no fault of its own`() {
        var faults = SharedFaults()
        for index in 0..<5 {
            faults.append(
                "missing.", about: "t\(index)", of: "layers", at: "f", advice: index < 2 ? " Did you mean it?" : "")
        }
        #expect(
            faults.sentences == [
                "f: missing. Did you mean it? The same is true of 4 more layers: \"t1\", \"t2\" and 2 more."
            ])
    }

    @Test func `the sentences keep the order of the things`() {
        var faults = SharedFaults()
        faults.append("no input.", about: "a", of: "layers", at: "f")
        faults.append("no gradient.", about: "a", of: "layers", at: "f")
        faults.append("no input.", about: "b", of: "layers", at: "f")
        #expect(faults.sentences == ["f: no input.", "f: no gradient.", "f: no input."])
    }

    @Test func `a thing that comes several times in one file is counted`() {
        var faults = SharedFaults()
        for _ in 0..<5 { faults.append("f: twice.", about: "a", of: "tensors", in: "f") }
        #expect(faults.sentences == ["f: twice. It occurs 5 times."])
    }
}
