import FileAccess
import Foundation
import SystemPackage
import TestSupport
import Testing

@testable import Safetensors

/// More files than descriptors, and changes to a file while it is closed.
@Suite struct PooledFileTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func write(_ name: String, _ value: UInt8) throws -> FilePath {
        let header = Array("{\"t\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}".utf8)
        let length = withUnsafeBytes(of: UInt64(header.count).littleEndian) { Array($0) }
        try directory.write(length + header + [value, value, value, value], to: name)
        return FilePath(directory.appending(name))
    }

    @Test func `thousands of files are open at once, and hold few descriptors`() throws {
        let files = try (0..<1500).map { try SafetensorsFile(opening: try write("\($0)", UInt8($0 % 251))) }
        for (number, file) in files.enumerated() {
            #expect(try file.bytes(of: "t", count: 4) == [UInt8](repeating: UInt8(number % 251), count: 4))
        }
        #expect(DescriptorPool.shared.count <= 1024)
    }

    @Test func `a file that was replaced or changed while it was closed is not read`() throws {
        let (replaced, changed) = (try write("replaced", 1), try write("changed", 2))
        let files = try [replaced, changed].map { try SafetensorsFile(opening: $0) }
        DescriptorPool.shared.removeAll()
        let new = try write("new", 3)
        try #require(rename(new.string, replaced.string) == 0)
        try FileManager.default.setAttributes([.modificationDate: Date.distantPast], ofItemAtPath: changed.string)
        for (file, path) in zip(files, [replaced, changed]) {
            #expect(throws: SafetensorsError.changed(file: path)) { try file.bytes(of: "t", count: 4) }
        }
    }

    @Test func `a file that is gone is missing by name`() throws {
        let path = try write("gone", 1)
        let file = try SafetensorsFile(opening: path)
        DescriptorPool.shared.removeAll()
        try FileManager.default.removeItem(atPath: path.string)
        #expect(throws: SafetensorsError.file(.callFailed(file: path, call: "open", code: .noSuchFileOrDirectory))) {
            try file.bytes(of: "t", count: 4)
        }
    }

    @Test func `a pool gives up the file that was read longest ago`() throws {
        let pool = DescriptorPool(capacity: 2)
        let names = (0..<3).map { _ in NSObject() }
        let path = try write("one", 1)
        for name in names {
            pool.insert(OpenHandle(try OpenFile(reading: path, within: .unlimited)), of: ObjectIdentifier(name))
            _ = pool.handle(of: ObjectIdentifier(names[0]))
        }
        #expect(names.map { pool.handle(of: ObjectIdentifier($0)) != nil } == [true, false, true])
        #expect(pool.count == 2)
    }
}
