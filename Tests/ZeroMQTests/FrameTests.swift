import Testing

@testable import ZeroMQ

struct FrameTests {
    @Test func `a frame is equal to another with equal bytes`() {
        #expect(Frame([104, 105]) == Frame("hi"))
        #expect(Frame("hi") != Frame("ho"))
        #expect(Frame("hi") != Frame("him"))
        #expect(Frame([]) == Frame(""))
        #expect(Frame("hi").description == "Frame(2 bytes)")
    }

    @Test func `a text must be UTF-8`() {
        #expect(Frame([0xff]).text == nil)
        #expect(Frame("ä").text == "ä")
    }

    @Test func `a subframe shares its bytes and lies within them`() {
        let frame = Frame("0123456789")
        #expect(frame.subframe(byteOffset: 3, byteCount: 4)?.text == "3456")
        #expect(frame.subframe(byteOffset: 10, byteCount: 0)?.byteCount == 0)
        #expect(frame.subframe(byteOffset: 0, byteCount: 11) == nil)
        #expect(frame.subframe(byteOffset: 11, byteCount: 0) == nil)
        #expect(frame.subframe(byteOffset: -1, byteCount: 1) == nil)
        #expect(frame.subframe(byteOffset: 1, byteCount: .max) == nil)
    }

    @Test func `a payload is zeroed, aligned, written and taken over without a copy`() throws {
        var payload = try PayloadBuffer(byteCount: 1000, alignment: 256)
        let address = payload.withBytes { bytes in
            bytes.withUnsafeBytes { buffer in
                #expect(buffer.allSatisfy { $0 == 0 })
                return UInt(bitPattern: buffer.baseAddress)
            }
        }
        payload.withMutableBytes { bytes in
            for index in 0..<bytes.byteCount {
                bytes.storeBytes(of: UInt8(index % 251), toByteOffset: index, as: UInt8.self)
            }
        }
        let frame = Frame(payload)
        #expect(address % 256 == 0)
        #expect(frame.withBytes { $0.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) } } == address)
        #expect(frame.copyBytes() == (0..<1000).map { UInt8($0 % 251) })
    }

    @Test(arguments: [-1, Int.max])
    func `an impossible payload size is an error and not a trap`(byteCount: Int) {
        #expect(throws: ZeroMQError.allocationFailed(byteCount: byteCount)) {
            _ = try PayloadBuffer(byteCount: byteCount).byteCount
        }
    }

    @Test func `an identity has 1 to 255 bytes, the first not zero`() throws {
        #expect(try RoutingIdentity("worker-3").description == "worker-3")
        #expect(try RoutingIdentity(bytes: [1, 0xab]).description == "0x01ab")
        #expect(throws: ZeroMQError.invalidRoutingIdentity(byteCount: 0)) { try RoutingIdentity("") }
        #expect(throws: ZeroMQError.invalidRoutingIdentity(byteCount: 2)) { try RoutingIdentity(bytes: [0, 1]) }
        #expect(throws: ZeroMQError.invalidRoutingIdentity(byteCount: 256)) {
            try RoutingIdentity(bytes: [UInt8](repeating: 1, count: 256))
        }
    }

    @Test func `durations round up and never become negative or overflow`() {
        #expect(Duration.microseconds(1).wholeMilliseconds == 1)
        #expect(Duration.milliseconds(1500).wholeMilliseconds == 1500)
        #expect(Duration.seconds(-1).wholeMilliseconds == 0)
        #expect(Duration.seconds(Int64.max).wholeMilliseconds == .max)
    }
}
