import Foundation
import FuzzEntries
import Testing

@Suite struct FuzzCorpusTests {
    @Test(arguments: FuzzEntry.allCases)
    func `whatever the corpus holds is refused with a short sentence or keeps every promise`(entry: FuzzEntry) throws {
        let files = try corpus(of: entry)
        #expect(!files.isEmpty)
        for file in files {
            do {
                try entry.take([UInt8](Data(contentsOf: file)))
            } catch let error as BrokenPromise {
                Issue.record("Fuzz/Corpus/\(entry.rawValue)/\(file.lastPathComponent): \(error)")
            }
        }
    }

    private func corpus(of entry: FuzzEntry) throws -> [URL] {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        return try FileManager.default.contentsOfDirectory(
            at: root.appendingPathComponent("Fuzz/Corpus/\(entry.rawValue)"), includingPropertiesForKeys: nil)
    }
}
